"""The session that every introduction to Kafka begins with, typed word by word.

Goal: it works as it stands, on the ports that it names, with the property file that comes along.
Method: pseudo terminals in a network of the test's own, so that 9092 and 2181 are free whatever runs on
this machine. Where no such network can be made, the machine's ports serve if they are free.
"""

CTRL_C, CTRL_D = "\x03", "\x04"


def test_the_session(open_terminal):
    server = open_terminal()
    server.start("bin/kafka-server-start.sh config/server.properties")
    server.wait_for("is ready after")

    topics = open_terminal()
    assert topics.run("bin/kafka-topics.sh --create --zookeeper localhost:2181 "
                      "--replication-factor 1 --partitions 1 --topic test") == \
        'Created topic "test".\n'
    assert topics.run("bin/kafka-topics.sh --list --zookeeper localhost:2181") == "test\n"
    assert topics.run("bin/kafka-topics.sh --describe --zookeeper localhost:2181 --topic test") == (
        "Topic:test\tPartitionCount:1\tReplicationFactor:1\tConfigs:\n"
        "\tTopic: test\tPartition: 0\tLeader: 0\tReplicas: 0\tIsr: 0\n")

    producer = open_terminal()
    producer.start("bin/kafka-console-producer.sh --broker-list localhost:9092 --topic srktest")
    for line in "This is a message", "This is another message":
        producer.wait_for("^>")
        producer.type(line + "\n")

    consumer = open_terminal()
    consumer.start("bin/kafka-console-consumer.sh --bootstrap-server localhost:9092 "
                   "--topic srktest --from-beginning")
    assert consumer.wait_for("This is another message\n") == "This is a message\n"
    producer.wait_for("^>")
    producer.type("One more, while it waits\n")
    assert consumer.wait_for("One more, while it waits\n") == ""
    assert topics.run("bin/kafka-topics.sh --list --bootstrap-server localhost:9092") == \
        "__consumer_offsets\nsrktest\ntest\n"

    consumer.type(CTRL_C)
    assert consumer.finish(status=130) == "^CProcessed a total of 3 messages\n"
    producer.wait_for("^>")
    producer.type(CTRL_D)
    producer.finish()
    server.type(CTRL_C)
    server.finish()


def test_localhost_is_found_at_its_ipv4_address(open_terminal):
    """Goal: who gives localhost as the place to listen, and 127.0.0.1 to clients, is served, as by Java's
    sockets, although most machines' localhost is ::1 first."""
    server, tools = open_terminal(), open_terminal()
    server.start("bin/kafka-server-start.sh config/server.properties "
                 "--override listeners=PLAINTEXT://localhost:9092")
    server.wait_for("is ready after")
    for where in "--zookeeper 127.0.0.1:2181", "--bootstrap-server 127.0.0.1:9092", \
            "--zookeeper localhost:2181", "--bootstrap-server localhost:9092":
        assert tools.run(f"bin/kafka-topics.sh --list {where}").strip() == ""
