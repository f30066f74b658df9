// The quick start with Shopify/sarama; see quick_starts.py. Sarama does not negotiate versions: it
// sends those of the release that it is configured for. KAFKA_VERSION says which (2.0.0).
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/Shopify/sarama"
)

func newConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_0_0_0
	if text := os.Getenv("KAFKA_VERSION"); text != "" {
		version, err := sarama.ParseKafkaVersion(text)
		if err != nil {
			log.Fatal(err)
		}
		config.Version = version
	}
	return config
}

func produce(bootstrap, topic string) {
	config := newConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Retry.Max = 0
	config.Producer.Flush.Bytes = 16384
	config.Producer.Flush.Frequency = time.Millisecond
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	if err != nil {
		log.Fatal(err)
	}
	records := make([]*sarama.ProducerMessage, 100)
	for i := range records {
		text := sarama.StringEncoder(strconv.Itoa(i))
		records[i] = &sarama.ProducerMessage{Topic: topic, Key: text, Value: text}
	}
	if err := producer.SendMessages(records); err != nil {
		log.Fatal(err)
	}
	if err := producer.Close(); err != nil {
		log.Fatal(err)
	}
}

// Sarama commits at intervals what is marked; committing by hand is its offset manager's flush,
// which this release does with an interval that is short.
type handler struct{ count, uncommitted int }

func (h *handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for record := range claim.Messages() {
		fmt.Printf("offset = %d, key = %s, value = %s\n", record.Offset, record.Key, record.Value)
		if h.uncommitted++; h.uncommitted == 20 {
			session.MarkMessage(record, "")
			h.uncommitted = 0
		}
		if h.count--; h.count == 0 {
			time.Sleep(10 * time.Minute)
		}
	}
	return nil
}

func consume(bootstrap, topic string, count int) {
	config := newConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.CommitInterval = 10 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 3 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	group, err := sarama.NewConsumerGroup([]string{bootstrap}, "srk", config)
	if err != nil {
		log.Fatal(err)
	}
	h := &handler{count: count}
	for {
		if err := group.Consume(context.Background(), []string{topic}, h); err != nil {
			log.Fatal(err)
		}
	}
}

func main() {
	if os.Args[1] == "produce" {
		produce(os.Args[2], os.Args[3])
		return
	}
	count, _ := strconv.Atoi(os.Args[4])
	consume(os.Args[2], os.Args[3], count)
}
