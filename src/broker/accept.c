/* Listeners, and the way of a connection to its shard. Sockets listen before anything else is done,
 * so that a taken port is known at once; what connects meanwhile waits until the broker is ready.
 */
#include "broker/life_int.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/report.h"
#include "io/process.h"

/* ---- connections --------------------------------------------------------------------------- */

/* Beside those of the settings: the controllers' address, and a port of its own. */
enum { LIFE_CONTROL_LISTENERS_MAX = 2 };

/* A connection that was accepted and not let in yet. */
struct waiting_connection {
	struct ot_list link;
	struct ot_accepted accepted;
	struct broker_listener *listener;
};

struct handover {
	struct ot_mail mail;
	struct broker_shard *shard;
	struct broker_listener *listener;
	struct ot_accepted accepted;
};

/* A connection has ended. */
struct farewell {
	struct ot_mail mail;
	struct broker_listener *listener;
	struct ot_address peer;
};

static void let_in_waiting(struct broker *broker);

static void
take_farewell(struct ot_mail *mail)
{
	struct farewell *farewell = OT_CONTAINER_OF(mail, struct farewell, mail);
	struct broker *broker = farewell->listener->broker;
	life_quota_give(broker->life->quota, farewell->listener, &farewell->peer);
	ot_free(farewell);
	let_in_waiting(broker);
}

static void
say_farewell(struct broker_listener *listener, const struct ot_address *peer)
{
	struct farewell *farewell = OT_NEW(struct farewell);
	farewell->listener = listener;
	farewell->peer = *peer;
	farewell->mail.deliver = take_farewell;
	ot_shard_post(ot_shard_control(listener->broker->set), &farewell->mail);
}

void
life_on_close(void *arg, struct ot_conn *conn)
{
	struct broker_shard *self = arg;
	const struct broker_listener *listener = ot_conn_listener(conn);
	say_farewell(&self->broker->listeners[listener - self->broker->listeners],
	    ot_conn_peer(conn));
}

static void
take_connection(struct ot_mail *mail)
{
	struct handover *handover = OT_CONTAINER_OF(mail, struct handover, mail);
	struct broker_shard *shard = handover->shard;
	if (!shard->is_closing) {
		ot_conn_open(&shard->conns, &handover->accepted, handover->listener);
	} else {
		ot_accepted_drop(shard->shard->io, &handover->accepted);
		say_farewell(handover->listener, &handover->accepted.peer);
	}
	ot_free(handover);
}

static void
hand_over(struct broker *broker, struct broker_listener *listener,
    const struct ot_accepted *accepted)
{
	struct handover *handover = OT_NEW(struct handover);
	handover->shard = &broker->shards[broker->life->next_shard++ % broker->set->count];
	handover->listener = listener;
	handover->accepted = *accepted;
	handover->mail.deliver = take_connection;
	ot_shard_post(handover->shard->shard, &handover->mail);
}

static void
refuse(struct broker *broker, const struct ot_accepted *accepted, const char *why)
{
	struct ot_io *io = ot_shard_control(broker->set)->io;
	uint32_t skipped = ot_report_skipped(&broker->life->gate, ot_io_now(io));
	ot_accepted_drop(io, accepted);
	if (skipped > 0)
		OT_WARN("broker", "%u more connections were refused", skipped);
	if (ot_report_may(&broker->life->gate, ot_io_now(io)))
		OT_WARN("broker", "connection of %s:%u refused: %s", accepted->peer.host,
		    accepted->peer.port, why);
}

/* False when it has to wait. */
static bool
let_in(struct broker *broker, struct broker_listener *listener, const struct ot_accepted *accepted)
{
	int64_t limit = 0;
	enum life_verdict verdict = life_quota_take(broker->life->quota,
	    broker_control_settings(broker->control), listener, &accepted->peer, &limit);
	if (verdict == LIFE_ADMITTED)
		hand_over(broker, listener, accepted);
	if (verdict == LIFE_REFUSED) {
		struct ot_why why = { "" };
		ot_why_set(&why,
		    "its address has %lld already, as many as max.connections.per.ip allows",
		    (long long)limit);
		refuse(broker, accepted, why.text);
	}
	if (verdict == LIFE_WAITS && !listener->is_full) {
		listener->is_full = true;
		ot_listener_want(listener->listener, false);
		OT_WARN("broker",
		    "listener %s: max.connections (%lld) is reached; new connections wait until "
		    "others close",
		    listener->conf->name, (long long)limit);
	}
	return verdict != LIFE_WAITS;
}

static void
on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct broker_listener *listener = arg;
	struct broker *broker = listener->broker;
	if (accepted->is_scarce) {
		refuse(broker, accepted,
		    "the process has too many files and connections open, and the last of them "
		    "are kept for logs; raise its limit (ulimit -n, LimitNOFILE of systemd)");
		return;
	}
	if (broker->life->is_ready && let_in(broker, listener, accepted))
		return;
	struct waiting_connection *waiting = OT_NEW(struct waiting_connection);
	waiting->accepted = *accepted;
	waiting->listener = listener;
	ot_list_push_back(&broker->life->waiting, &waiting->link);
}

static bool
has_waiting(const struct broker *broker, const struct broker_listener *listener)
{
	OT_LIST_FOREACH(link, &broker->life->waiting) {
		if (OT_CONTAINER_OF(link, struct waiting_connection, link)->listener == listener)
			return true;
	}
	return false;
}

/* Who came first is first; who waits for one listener keeps nobody of another waiting. */
static void
let_in_waiting(struct broker *broker)
{
	OT_LIST_FOREACH_SAFE(link, &broker->life->waiting) {
		struct waiting_connection *waiting =
		    OT_CONTAINER_OF(link, struct waiting_connection, link);
		if (!let_in(broker, waiting->listener, &waiting->accepted))
			continue;
		ot_list_remove(link);
		ot_free(waiting);
	}
	for (size_t i = 0; i < broker->listener_count; i++) {
		struct broker_listener *listener = &broker->listeners[i];
		if (!listener->is_full || listener->listener == NULL ||
		    has_waiting(broker, listener))
			continue;
		listener->is_full = false;
		ot_listener_want(listener->listener, true);
	}
}

void
life_let_in(struct broker *broker)
{
	broker->life->is_ready = true;
	let_in_waiting(broker);
}

/* ---- listeners ----------------------------------------------------------------------------- */

static ot_err
listen_at(struct broker *broker, struct broker_listener *listener, struct ot_why *why)
{
	const struct ot_listener_conf *conf = listener->conf;
	ot_err err = ot_io_listen(ot_shard_control(broker->set)->io, conf->host, conf->port,
	    on_accept, listener, &listener->listener);
	if (err == OT_ERR_EXISTS)
		ot_why_set(why,
		    "listener %s://%s:%u: the port is in use; stop what listens there or choose "
		    "another port in listeners",
		    conf->name, conf->host, conf->port);
	else if (err != OT_OK)
		ot_why_set(why,
		    "listener %s://%s:%u: the host has no such address; correct listeners",
		    conf->name, conf->host, conf->port);
	if (err != OT_OK)
		return err;
	listener->port = ot_listener_port(listener->listener);
	if (conf->advertised_host == NULL) /* a controller's: nobody is told of it */
		return OT_OK;
	if (conf->advertised_host[0] != '\0')
		snprintf(listener->advertised_host, sizeof(listener->advertised_host), "%s",
		    conf->advertised_host);
	else
		ot_process_host_name(listener->advertised_host, sizeof(listener->advertised_host));
	return OT_OK;
}

/* zookeeper.connect and its successors name where the controller answers: here, if the address is
 * this machine's and nobody has it. */
bool
life_take_control_address(struct broker *broker, const char *number)
{
	const struct ot_settings *settings = broker->settings;
	struct broker_life *life = broker->life;
	if (life->has_control_address || settings->control_listener == NULL ||
	    !settings->control_listener_is_made)
		return life->has_control_address;
	struct broker_listener *listener = &broker->listeners[broker->listener_count];
	struct ot_why why = { "" };
	life->address_conf = *settings->control_listener;
	if (number != NULL)
		life->address_conf.host = number;
	*listener = (struct broker_listener){ .broker = broker, .conf = &life->address_conf };
	if (listen_at(broker, listener, &why) != OT_OK)
		return false;
	broker->listener_count++;
	life->has_control_address = true;
	return true;
}

bool
life_has_control_address(const struct broker *broker)
{
	return broker->life->has_control_address;
}

/* A controller must answer somewhere: where the address is another's, at a port of its own, of the
 * host at which other brokers reach it. */
static ot_err
listen_elsewhere(struct broker *broker, struct ot_why *why)
{
	const struct ot_settings *settings = broker->settings;
	const struct ot_listener_conf *own =
	    ot_settings_listener(settings, settings->inter_broker_listener);
	struct broker_listener *listener = &broker->listeners[broker->listener_count];
	struct ot_listener_conf *conf = &broker->life->control_conf;
	*conf = *settings->control_listener;
	conf->host = own->host;
	conf->port = conf->advertised_port = 0;
	conf->advertised_host = own->advertised_host;
	*listener = (struct broker_listener){ .broker = broker, .conf = conf };
	ot_err err = listen_at(broker, listener, why);
	broker->listener_count += err == OT_OK;
	return err;
}

static ot_err
listen_for_control(struct broker *broker, struct ot_why *why)
{
	const struct ot_settings *settings = broker->settings;
	if (settings->control_listener == NULL || !settings->control_listener_is_made ||
	    life_take_control_address(broker, NULL))
		return OT_OK;
	return listen_elsewhere(broker, why);
}

ot_err
life_open_listeners(struct broker *broker, struct ot_why *why)
{
	const struct ot_settings *settings = broker->settings;
	broker->listeners = ot_must_alloc(
	    (settings->listener_count + LIFE_CONTROL_LISTENERS_MAX) * sizeof(*broker->listeners));
	for (size_t i = 0; i < settings->listener_count; i++) {
		struct broker_listener *listener = &broker->listeners[i];
		listener->broker = broker;
		listener->conf = &settings->listeners[i];
		if (listener->conf->security != OT_SECURITY_PLAINTEXT) {
			ot_why_set(why,
			    "listener %s: only PLAINTEXT is served; change its protocol",
			    listener->conf->name);
			return OT_ERR_INVALID_CONFIG;
		}
		ot_err err = listen_at(broker, listener, why);
		if (err != OT_OK)
			return err;
		broker->listener_count++;
	}
	return listen_for_control(broker, why);
}

void
life_close_listeners(struct broker *broker)
{
	struct broker_life *life = broker->life;
	for (size_t i = 0; i < broker->listener_count; i++) {
		ot_listener_close(broker->listeners[i].listener);
		broker->listeners[i].listener = NULL;
	}
	OT_LIST_FOREACH_SAFE(link, &life->waiting) {
		struct waiting_connection *waiting =
		    OT_CONTAINER_OF(link, struct waiting_connection, link);
		ot_list_remove(link);
		ot_accepted_drop(ot_shard_control(broker->set)->io, &waiting->accepted);
		ot_free(waiting);
	}
}
