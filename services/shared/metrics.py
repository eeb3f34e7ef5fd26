"""The catalogue of metrics: one class a service, one attribute a metric.

Names follow Prometheus's conventions (unit in the name, `_total` on counters). Each service builds its class once,
in its composition root, on a registry of its own; dashboards, alert rules and docs are held against this file.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
BATCH = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class IngestMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepted = Counter(
            "tierline_ingest_events_accepted", "Events kept by Kafka and answered so", ["type"], registry=registry
        )
        self.refused = Counter(
            "tierline_ingest_events_refused",
            "Events or whole requests refused, by problem",
            ["reason"],
            registry=registry,
        )
        self.acknowledgement = Histogram(
            "tierline_ingest_acknowledgement_seconds",
            "From handing a request's events to the producer to Kafka's acknowledgement of all",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.batch = Histogram(
            "tierline_ingest_request_events", "Events in one request", buckets=BATCH, registry=registry
        )
        self.in_flight = Gauge("tierline_ingest_in_flight_bytes", "Bytes not yet acknowledged", registry=registry)
        self.broker_up = Gauge("tierline_ingest_broker_up", "1 while Kafka answers", registry=registry)
        self.requests = Histogram(
            "tierline_ingest_http_request_seconds",
            "Time to answer a request",
            ["method", "route", "status"],
            buckets=LATENCY_S,
            registry=registry,
        )


class ScorerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("tierline_scorer_events", "Events taken off the topic", ["outcome"], registry=registry)
        self.dead_letters = Counter(
            "tierline_scorer_dead_letters", "Dead letters and reports written, by reason", ["reason"], registry=registry
        )
        self.lag = Gauge(
            "tierline_scorer_consumer_lag_records",
            "Records of `events` not yet decided",
            ["partition"],
            registry=registry,
        )
        self.batch = Histogram(
            "tierline_scorer_batch_events", "Events in one transaction", buckets=BATCH, registry=registry
        )
        self.batch_time = Histogram(
            "tierline_scorer_batch_seconds",
            "Time of one transaction, by stage",
            ["stage"],
            buckets=LATENCY_S,
            registry=registry,
        )
        self.transitions = Counter(
            "tierline_scorer_transitions",
            "Announced transitions",
            ["dimension", "after", "cause"],
            registry=registry,
        )
        self.flaps = Counter(
            "tierline_scorer_flaps",
            "Announced moves back to the tier left less than 30 days before, if this worker saw it left",
            ["dimension"],
            registry=registry,
        )
        self.decisions = Counter("tierline_scorer_decisions", "Decision records, announced or not", registry=registry)
        self.timer_lateness = Histogram(
            "tierline_scorer_timer_lateness_seconds",
            "From the instant a timer was due to the commit of what it changed",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.timers = Gauge(
            "tierline_scorer_timers_pending", "Customers with a timer", ["partition"], registry=registry
        )
        self.set_aside = Gauge(
            "tierline_scorer_customers_set_aside",
            "Customers at whom the core failed without an event; tried again at their next one, or after a restart",
            ["partition"],
            registry=registry,
        )
        self.latency = Histogram(
            "tierline_scorer_post_to_decision_seconds",
            "From ingest taking an event off the wire to the commit of its decision",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.customers = Gauge("tierline_scorer_customers", "Customers in state", ["partition"], registry=registry)
        self.state_bytes = Gauge(
            "tierline_scorer_state_bytes", "Bytes of state records", ["partition"], registry=registry
        )
        self.restored = Counter(
            "tierline_scorer_restored_records", "Changelog records read in takeovers", registry=registry
        )
        self.restoring = Gauge(
            "tierline_scorer_restore_remaining_records",
            "Changelog records still to read",
            ["partition"],
            registry=registry,
        )
        self.to_look_at_again = Gauge(
            "tierline_scorer_customers_to_look_at_again",
            "Customers at most who were not decided under the newest policy yet",
            ["partition"],
            registry=registry,
        )
        self.rebuilding = Gauge(
            "tierline_scorer_rebuild_remaining_records",
            "Records of `events` still to replay and customers still to switch before a rebuild is done",
            ["partition"],
            registry=registry,
        )
        self.rebuild_refused = Gauge(
            "tierline_scorer_rebuild_refused",
            "1 after a rebuild was refused as `events` no longer reaches back far enough, until the next one begins",
            ["partition"],
            registry=registry,
        )
        self.operations = Counter(
            "tierline_scorer_identity_operations", "Merges, unmerges and erasures begun", ["kind"], registry=registry
        )
        self.takeovers = Counter("tierline_scorer_takeovers", "Partitions taken over", registry=registry)
        self.owned = Gauge("tierline_scorer_partitions_owned", "Partitions this worker owns", registry=registry)
        self.halted = Gauge(
            "tierline_scorer_partitions_halted",
            "1 while a partition is halted: too many dead letters, a merge that fails, or what Kafka refuses for good",
            ["partition"],
            registry=registry,
        )
        self.failed = Counter(
            "tierline_scorer_transactions_failed",
            "Transactions given up; the partition is taken over again",
            registry=registry,
        )
        self.unpriced = Counter(
            "tierline_scorer_unpriced_events", "Events whose currency has no rate and counts as 0", registry=registry
        )


class NotifierMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.lag = Gauge(
            "tierline_notifier_consumer_lag_records",
            "Records not yet in the database",
            ["topic", "partition"],
            registry=registry,
        )
        self.batch = Histogram(
            "tierline_notifier_batch_records", "Records in one transaction", buckets=BATCH, registry=registry
        )
        self.batch_time = Histogram(
            "tierline_notifier_batch_seconds", "Time of one database transaction", buckets=LATENCY_S, registry=registry
        )
        self.latency = Histogram(
            "tierline_notifier_post_to_database_seconds",
            "From ingest taking an event off the wire to its decision standing in the database",
            buckets=LATENCY_S,
            registry=registry,
        )
        self.tasks_open = Gauge(
            "tierline_notifier_tasks_open", "Follow-up tasks by state", ["state"], registry=registry
        )
        self.alerts_open = Gauge("tierline_notifier_churn_alerts_open", "Open churn alerts", registry=registry)
        self.customers = Gauge("tierline_notifier_customers", "Customers in the projection", registry=registry)
        self.database_bytes = Gauge("tierline_notifier_database_bytes", "Size of the database", registry=registry)
        self.streams = Gauge("tierline_notifier_streams_open", "Open server-sent event streams", registry=registry)
        self.zombies = Counter(
            "tierline_notifier_offset_conflicts",
            "Transactions refused because another instance had moved the offset",
            registry=registry,
        )
        self.requests = Histogram(
            "tierline_notifier_http_request_seconds",
            "Time to answer a request",
            ["method", "route", "status"],
            buckets=LATENCY_S,
            registry=registry,
        )


class AuditMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.customers = Counter(
            "tierline_audit_customers", "Customers held against a recomputation", ["outcome"], registry=registry
        )
        self.last_success = Gauge(
            "tierline_audit_last_success_timestamp_seconds",
            "When an audit last came to its end, whatever it found; until then, when the service began",
            registry=registry,
        )
        self.running = Gauge(
            "tierline_audit_running_seconds", "How long the audit under way has run, 0 between two", registry=registry
        )
        self.failures = Counter("tierline_audit_failures", "Audits that did not come to their end", registry=registry)


CATALOGUE: tuple[type[IngestMetrics] | type[ScorerMetrics] | type[NotifierMetrics] | type[AuditMetrics], ...] = (
    IngestMetrics,
    ScorerMetrics,
    NotifierMetrics,
    AuditMetrics,
)
