"""Past events: one line of an archive becomes what live ingest would have made of it when the event came in.

Pure. Three shapes are read, one JSON object a line:

    as an SDK sends it    `timestamp` or `originalTimestamp`, `sentAt` perhaps; when it was received is not known
    Segment's archive     `segment-logs/<source>/<day>/<name>.gz`; `timestamp` is Segment's own, of the three others
    RudderStack's         `rudder-logs/<source>/<day>/<name>.json.gz`; `timestamp` is the caller's where the caller gave
                          one, else RudderStack's own

What an archive's server has added is taken off again, and what it received at `receivedAt` is normalised as if it
came in then. So an imported event equals the one that would have come live, to the byte, and shares its `messageId`.

Sources:
https://segment.com/docs/connections/storage/catalog/aws-s3/#data-format (path, gzip, one call a line)
https://segment.com/docs/connections/spec/common/#timestamps (timestamp = receivedAt - (sentAt - originalTimestamp))
https://www.rudderstack.com/docs/destinations/streaming-destinations/amazon-s3/ (path, gzip)
https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/ (the four instants)
github.com/rudderlabs/rudder-server, processor/processor.go, enhanceWithTimeFields (which `timestamp` is kept)
"""

from __future__ import annotations

from leadscore.core.instants import Millis
from leadscore.normalising import InvalidEvent, NormalisedEvent, RepeatedKeys, instant_in, normalise_event

# What RudderStack's gateway adds to each event, and nobody else.
_RUDDERSTACK_FIELDS = ("rudderId", "request_ip")
# RudderStack computes with nanoseconds and cuts each of the four instants off to milliseconds.
_ROUNDING = 3


def normalise_past_event(raw: object, *, now: Millis) -> NormalisedEvent:
    """Return the normalised form of an event that was received some time before `now`; raises InvalidEvent.

    Where it does not say when it was received, that was when it was sent, or else when it happened.
    """
    if not isinstance(raw, dict) or isinstance(raw, RepeatedKeys):
        return normalise_event(raw, received_at=now)
    times = {name: instant_in(raw, name) for name in ("receivedAt", "sentAt", "originalTimestamp", "timestamp")}
    received = next((at for at in times.values() if at is not None), None)
    if received is None:
        raise InvalidEvent("missing_timestamp", "the event does not say when it happened", "timestamp")
    as_sent = {name: value for name, value in raw.items() if name != "receivedAt"}
    if times["receivedAt"] is not None and times["originalTimestamp"] is not None and _is_the_servers(raw, times):
        del as_sent["timestamp"]
    return normalise_event(as_sent, received_at=min(received, now))


def _is_the_servers(raw: dict[str, object], times: dict[str, Millis | None]) -> bool:
    """Return whether the `timestamp` of an archived event was made by the archive's server."""
    said, received, sent, called = (times[name] for name in ("timestamp", "receivedAt", "sentAt", "originalTimestamp"))
    if said is None:
        return False
    if not any(name in raw for name in _RUDDERSTACK_FIELDS):
        return True
    if received is None or sent is None or called is None:
        return False
    return abs(said - (received - (sent - called))) <= _ROUNDING
