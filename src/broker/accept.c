/* Listeners, and the way of a connection to its shard. Sockets listen before anything else is done,
 * so that a taken port is known at once; what connects meanwhile waits until the broker is ready.
 */
#include "broker/life_int.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/report.h"
#include "io/process.h"

/* ---- connections --------------------------------------------------------------------------- */

/* A connection that came before the broker was ready. */
struct early_connection {
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

static void
take_connection(struct ot_mail *mail)
{
	struct handover *handover = OT_CONTAINER_OF(mail, struct handover, mail);
	struct broker_shard *shard = handover->shard;
	if (!shard->is_closing)
		ot_conn_open(&shard->conns, &handover->accepted, handover->listener);
	else
		ot_accepted_drop(shard->shard->io, &handover->accepted);
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
on_accept(void *arg, const struct ot_accepted *accepted)
{
	struct broker_listener *listener = arg;
	struct broker *broker = listener->broker;
	if (broker->life->is_ready) {
		hand_over(broker, listener, accepted);
		return;
	}
	struct early_connection *early = OT_NEW(struct early_connection);
	early->accepted = *accepted;
	early->listener = listener;
	ot_list_push_back(&broker->life->early, &early->link);
}

void
life_let_in(struct broker *broker)
{
	struct broker_life *life = broker->life;
	life->is_ready = true;
	while (!ot_list_is_empty(&life->early)) {
		struct early_connection *early =
		    OT_LIST_FIRST(&life->early, struct early_connection, link);
		ot_list_remove(&early->link);
		hand_over(broker, early->listener, &early->accepted);
		ot_free(early);
	}
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
	if (conf->advertised_host[0] != '\0')
		snprintf(listener->advertised_host, sizeof(listener->advertised_host), "%s",
		    conf->advertised_host);
	else
		ot_process_host_name(listener->advertised_host, sizeof(listener->advertised_host));
	return OT_OK;
}

/* zookeeper.connect and its successors name where the controller answers: here, if the address is
 * this machine's and nobody has it. */
static void
listen_for_control(struct broker *broker)
{
	const struct ot_settings *settings = broker->settings;
	if (settings->control_listener == NULL || !settings->control_listener_is_made)
		return;
	struct broker_listener *listener = &broker->listeners[broker->listener_count];
	struct ot_why why = { "" };
	listener->broker = broker;
	listener->conf = settings->control_listener;
	if (listen_at(broker, listener, &why) == OT_OK)
		broker->listener_count++;
	else
		OT_WARN("broker",
		    "no control listener at %s:%u, which %s names: the address is not this "
		    "machine's or is in use. Tools reach this broker by --bootstrap-server only",
		    listener->conf->host, listener->conf->port,
		    ot_broker_table.defs[settings->controllers_key].name);
}

ot_err
life_open_listeners(struct broker *broker, struct ot_why *why)
{
	const struct ot_settings *settings = broker->settings;
	broker->listeners =
	    ot_must_alloc((settings->listener_count + 1) * sizeof(*broker->listeners));
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
	listen_for_control(broker);
	return OT_OK;
}

void
life_close_listeners(struct broker *broker)
{
	struct broker_life *life = broker->life;
	for (size_t i = 0; i < broker->listener_count; i++) {
		ot_listener_close(broker->listeners[i].listener);
		broker->listeners[i].listener = NULL;
	}
	while (!ot_list_is_empty(&life->early)) {
		struct early_connection *early =
		    OT_LIST_FIRST(&life->early, struct early_connection, link);
		ot_list_remove(&early->link);
		ot_accepted_drop(ot_shard_control(broker->set)->io, &early->accepted);
		ot_free(early);
	}
}
