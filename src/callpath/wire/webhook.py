"""The events that Telnyx POSTs about a call and its stream.

The envelope of API version 2 is `{"data": {event_type, id, occurred_at, payload}, "meta": {attempt, delivered_to}}`.
`id` is the key against duplicates. Any event may come late, twice, or out of order. Source: Telnyx's OpenAPI file of
2026-07-16 and its Python SDK 4.189.0; fields marked "observed" were seen in real calls and are not in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from callpath.errors import RemoteProtocolError
from callpath.wire.document import Document, Json, Part, difference, merge, parse_json, read, write
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId


class Header(Part, frozen=True, kw_only=True):
    """One SIP header."""

    name: str
    value: str


class CallPayload(Part, frozen=True, kw_only=True):
    """What every call event carries. `client_state` is base64 of whatever the last command set."""

    call_control_id: CallControlId
    call_leg_id: LegId
    call_session_id: SessionId
    connection_id: str | None = None
    client_state: str | None = None
    calling_party_type: str | None = None  # observed: "pstn"


class _Parties(CallPayload, frozen=True, kw_only=True):
    from_: str | None = msgspec.field(name="from", default=None)
    to: str | None = None


class CallInitiated(_Parties, frozen=True, kw_only=True):
    """A call came in (`direction` "incoming", `state` "parked") or was dialled ("outgoing")."""

    direction: str | None = None
    state: str | None = None
    start_time: str | None = None
    caller_id_name: str | None = None
    offered_codecs: str | None = None
    connection_codecs: str | None = None
    from_sip_uri: str | None = None  # observed
    to_sip_uri: str | None = None  # observed
    tags: list[str] | None = None
    sip_headers: list[Header] | None = None
    custom_headers: list[Header] | None = None
    call_screening_result: str | None = None
    shaken_stir_attestation: str | None = None
    shaken_stir_validated: bool | None = None


class CallAnswered(_Parties, frozen=True, kw_only=True):
    """The call was answered. `codec` and `sampling_rate` (observed) are the phone leg's."""

    state: str | None = None
    start_time: str | None = None
    codec: str | None = None
    sampling_rate: int | None = None
    tags: list[str] | None = None
    sip_headers: list[Header] | None = None
    custom_headers: list[Header] | None = None


class CallBridged(_Parties, frozen=True, kw_only=True):
    """Two legs were joined; comes once for each."""

    start_time: str | None = None  # observed


class InboundQuality(Part, frozen=True, kw_only=True):
    """The phone's audio as Telnyx received it. One packet is 20 ms."""

    packet_count: str | None = None
    skip_packet_count: str | None = None
    jitter_packet_count: str | None = None
    jitter_max_variance: str | None = None
    mos: str | None = None


class OutboundQuality(Part, frozen=True, kw_only=True):
    """Audio that Telnyx sent to the phone. "0" packets: nothing we played was heard."""

    packet_count: str | None = None
    skip_packet_count: str | None = None


class CallQuality(Part, frozen=True, kw_only=True):
    """`call_quality_stats` of call.hangup: the best witness of whether audio reached the phone."""

    inbound: InboundQuality | None = None
    outbound: OutboundQuality | None = None


class CallHangup(_Parties, frozen=True, kw_only=True):
    """The call is over. `hangup_source` is caller, callee or unknown."""

    state: str | None = None
    hangup_cause: str | None = None
    hangup_source: str | None = None
    sip_hangup_cause: str | None = None
    call_quality_stats: CallQuality | None = None
    start_time: str | None = None
    end_time: str | None = None
    tags: list[str] | None = None
    sip_headers: list[Header] | None = None
    custom_headers: list[Header] | None = None
    telnyx_error: Json | None = None  # observed: null, or an object with a D-code in error_code


class CallDtmfReceived(_Parties, frozen=True, kw_only=True):
    """A key was pressed. The same press may also arrive as a frame on the socket."""

    digit: str | None = None


class CallSpeakStarted(CallPayload, frozen=True, kw_only=True):
    """Telnyx began to speak a text."""

    speak_id: str | None = None  # observed


class CallSpeakEnded(CallPayload, frozen=True, kw_only=True):
    """Telnyx finished or stopped speaking."""

    speak_id: str | None = None  # observed
    status: str | None = None


class _Playback(CallPayload, frozen=True, kw_only=True):
    media_url: str | None = None
    media_name: str | None = None
    overlay: bool | None = None


class CallPlaybackStarted(_Playback, frozen=True, kw_only=True):
    """Telnyx began to play a file."""


class CallPlaybackEnded(_Playback, frozen=True, kw_only=True):
    """Telnyx finished or stopped playing a file."""

    status: str | None = None
    status_detail: str | None = None


class CallGatherEnded(_Parties, frozen=True, kw_only=True):
    """A gather is over. `status`: valid, invalid, timeout, call_hangup, cancelled or cancelled_amd."""

    digits: str | None = None
    status: str | None = None
    gather_id: str | None = None


class RecordingUrls(Part, frozen=True, kw_only=True):
    """Where a recording can be fetched, by its format. Telnyx's are good for 10 minutes."""

    wav: str | None = None
    mp3: str | None = None


class CallRecordingSaved(CallPayload, frozen=True, kw_only=True):
    """A recording is ready. `channels` is single or dual."""

    recording_id: str | None = None  # not in the OpenAPI file
    channels: str | None = None
    format: str | None = None  # not in the OpenAPI file
    start_time: str | None = None  # documented: of the recording, not of the call
    end_time: str | None = None
    recording_started_at: str | None = None
    recording_ended_at: str | None = None
    recording_urls: RecordingUrls | None = None
    public_recording_urls: RecordingUrls | None = None


class CallRecordingTranscriptionSaved(CallPayload, frozen=True, kw_only=True):
    """What was said in a recording, as text."""

    recording_id: str | None = None
    recording_transcription_id: str | None = None
    status: str | None = None
    transcription_text: str | None = None


class CallRecordingError(CallPayload, frozen=True, kw_only=True):
    """A recording could not be made."""

    reason: str | None = None


class TranscriptionData(Part, frozen=True, kw_only=True):
    """One piece of speech as text; `is_final` False: it may still change."""

    transcript: str | None = None
    confidence: float | None = None
    is_final: bool | None = None
    transcription_track: str | None = None


class CallTranscription(CallPayload, frozen=True, kw_only=True):
    """Somebody said something."""

    transcription_data: TranscriptionData | None = None


class _Detection(_Parties, frozen=True, kw_only=True):
    result: str | None = None


class CallMachineDetectionEnded(_Detection, frozen=True, kw_only=True):
    """Answering-machine detection has a result; the set of results depends on which detection was asked for."""


class CallMachineGreetingEnded(_Detection, frozen=True, kw_only=True):
    """An answering machine's greeting ended."""


class CallMachinePremiumDetectionEnded(_Detection, frozen=True, kw_only=True):
    """Premium detection has a result."""


class CallMachinePremiumGreetingEnded(_Detection, frozen=True, kw_only=True):
    """Premium detection heard the greeting end."""


class CallMachinePremiumDetectionStarted(_Parties, frozen=True, kw_only=True):
    """Premium detection begins."""


class CallMachinePremiumCallScreeningDetected(_Detection, frozen=True, kw_only=True):
    """A phone screens the call (iOS, Pixel). Detection begins again: `machine` before this was provisional."""


class CallAIGatherEnded(_Parties, frozen=True, kw_only=True):
    """A gather by an AI is over. `status`: valid or invalid."""

    status: str | None = None
    result: Json | None = None
    message_history: list[Json] | None = None


class CallAIGatherPartialResults(_Parties, frozen=True, kw_only=True):
    """What a gather by an AI has found so far."""

    partial_results: Json | None = None
    message_history: list[Json] | None = None


class CallAIGatherMessageHistoryUpdated(_Parties, frozen=True, kw_only=True):
    """What was said so far in a gather by an AI."""

    message_history: list[Json] | None = None


class CallEnqueued(CallPayload, frozen=True, kw_only=True):
    """The call waits in a queue."""

    queue: str | None = None
    current_position: int | None = None
    queue_avg_wait_time_secs: int | None = None


class CallDequeued(CallPayload, frozen=True, kw_only=True):
    """The call left its queue. `reason`: bridged, bridging-in-process, hangup, leave or timeout."""

    queue: str | None = None
    queue_position: int | None = None
    reason: str | None = None
    wait_time_secs: int | None = None


class _Refer(_Parties, frozen=True, kw_only=True):
    sip_notify_response: int | None = None


class CallReferStarted(_Refer, frozen=True, kw_only=True):
    """The SIP REFER went out."""


class CallReferCompleted(_Refer, frozen=True, kw_only=True):
    """The far end went to the address of the REFER."""


class CallReferFailed(_Refer, frozen=True, kw_only=True):
    """The far end did not go there."""


class CallConversationCreated(_Parties, frozen=True, kw_only=True):
    """A conversation of an assistant, or of a Conversation Relay, exists."""

    conversation_id: str | None = None


class CallConversationStartFailed(_Parties, frozen=True, kw_only=True):
    """An assistant could not start. `reason`: invalid_request or service_error."""

    assistant_id: str | None = None
    reason: str | None = None


class _Conversation(_Parties, frozen=True, kw_only=True):
    assistant_id: str | None = None
    conversation_id: str | None = None
    duration_sec: int | None = None
    reason: str | None = None
    messages: list[Json] | None = None
    llm_model: str | None = None
    stt_model: str | None = None
    tts_provider: str | None = None
    tts_model_id: str | None = None
    tts_voice_id: str | None = None


class CallConversationEnded(_Conversation, frozen=True, kw_only=True):
    """A conversation is over. `reason` customer_disconnect: our socket was closed."""


class CallConversationInsightsGenerated(CallPayload, frozen=True, kw_only=True):
    """Answers to the questions that an assistant's insights ask of a conversation."""

    insight_group_id: str | None = None
    results: list[Json] | None = None


class CallAnalyzed(_Conversation, frozen=True, kw_only=True):
    """What a conversation cost, and where its recordings are. `cost` is a text where there are no data."""

    cost: Json | str | None = None
    recordings: list[Json] | None = None
    conversation_insights: list[Json] | None = None


class CallDeepfakeDetectionResult(CallPayload, frozen=True, kw_only=True):
    """Whether a voice is a person's: `result` real, fake or silence_timeout."""

    result: str | None = None
    score: float | None = None
    consistency: float | None = None


class CallDeepfakeDetectionError(CallPayload, frozen=True, kw_only=True):
    """The detection of false voices failed."""

    error_message: str | None = None


class SiprecStarted(CallPayload, frozen=True, kw_only=True):
    """A SIPREC session began."""


class SiprecStopped(CallPayload, frozen=True, kw_only=True):
    """A SIPREC session ended."""

    hangup_cause: str | None = None


class SiprecFailed(CallPayload, frozen=True, kw_only=True):
    """A SIPREC session could not be made."""

    failure_cause: str | None = None


class _Conference(_Parties, frozen=True, kw_only=True):
    conference_id: str | None = None
    occurred_at: str | None = None


class ConferenceCreated(_Conference, frozen=True, kw_only=True):
    """A conference exists. The leg is its creator's."""


class ConferenceEnded(_Conference, frozen=True, kw_only=True):
    """A conference is over. `reason`: all_left, host_left or time_exceeded."""

    reason: str | None = None


class ConferenceFloorChanged(_Conference, frozen=True, kw_only=True):
    """Another participant speaks."""


class ConferenceParticipantJoined(_Conference, frozen=True, kw_only=True):
    """A leg joined a conference."""


class ConferenceParticipantLeft(_Conference, frozen=True, kw_only=True):
    """A leg left a conference."""


class _Participant(_Conference, frozen=True, kw_only=True):
    creator_call_session_id: SessionId | None = None


class ConferenceParticipantSpeakStarted(_Participant, frozen=True, kw_only=True):
    """Telnyx began to speak to some participants; comes for each."""


class ConferenceParticipantSpeakEnded(_Participant, frozen=True, kw_only=True):
    """Telnyx finished or stopped speaking to this participant."""


class _ParticipantPlayback(_Participant, frozen=True, kw_only=True):
    media_url: str | None = None
    media_name: str | None = None


class ConferenceParticipantPlaybackStarted(_ParticipantPlayback, frozen=True, kw_only=True):
    """Telnyx began to play a file to some participants; comes for each."""


class ConferenceParticipantPlaybackEnded(_ParticipantPlayback, frozen=True, kw_only=True):
    """Telnyx finished or stopped playing a file to this participant."""


class ConferencePayload(Part, frozen=True, kw_only=True):
    """What an event about a whole conference carries: it is about no single leg."""

    conference_id: str
    connection_id: str | None = None
    creator_call_session_id: SessionId | None = None
    call_control_id: CallControlId | None = None
    call_session_id: SessionId | None = None
    client_state: str | None = None
    occurred_at: str | None = None
    media_url: str | None = None
    media_name: str | None = None
    recording_id: str | None = None
    channels: str | None = None
    format: str | None = None
    recording_started_at: str | None = None
    recording_ended_at: str | None = None
    recording_urls: RecordingUrls | None = None
    public_recording_urls: RecordingUrls | None = None


class ConferencePlaybackStarted(ConferencePayload, frozen=True, kw_only=True):
    """Telnyx began to play a file to all participants."""


class ConferencePlaybackEnded(ConferencePayload, frozen=True, kw_only=True):
    """Telnyx finished or stopped playing a file to all participants."""


class ConferenceSpeakStarted(ConferencePayload, frozen=True, kw_only=True):
    """Telnyx began to speak to all participants."""


class ConferenceSpeakEnded(ConferencePayload, frozen=True, kw_only=True):
    """Telnyx finished or stopped speaking to all participants."""


class ConferenceRecordingSaved(ConferencePayload, frozen=True, kw_only=True):
    """A recording of the conference is ready."""


class CallHold(_Parties, frozen=True, kw_only=True):
    """The call was put on hold."""


class CallUnhold(_Parties, frozen=True, kw_only=True):
    """The call was taken off hold."""


class _Fork(CallPayload, frozen=True, kw_only=True):
    stream_type: str | None = None


class CallForkStarted(_Fork, frozen=True, kw_only=True):
    """An RTP fork began; it replaces a running stream."""


class CallForkStopped(_Fork, frozen=True, kw_only=True):
    """An RTP fork ended."""


class CallCost(CallPayload, frozen=True, kw_only=True):
    """What the call cost; only if the application asks for it."""

    status: str | None = None
    total_cost: str | None = None
    billed_duration_secs: int | None = None
    billing_group_id: str | None = None
    cost_parts: list[Json] | None = None
    occurred_at: str | None = None


class _Streaming(CallPayload, frozen=True, kw_only=True):
    stream_url: str | None = None
    stream_id: StreamId | None = None  # second-hand


class StreamingStarted(_Streaming, frozen=True, kw_only=True):
    """Telnyx announces a stream. Sent before the stream begins: no proof that our server was reached."""


class StreamingStopped(_Streaming, frozen=True, kw_only=True):
    """The stream is over."""


class StreamParams(Part, frozen=True, kw_only=True):
    """Where a failed stream was meant to go."""

    stream_url: str | None = None
    track: str | None = None


class StreamingFailed(CallPayload, frozen=True, kw_only=True):
    """The stream could not be opened, or broke. `failure_reason` is a short word; the list of them is unknown.

    Seen: `connection_failed` (documented example), `disconnected` (second-hand).
    """

    failure_reason: str | None = None
    stream_id: StreamId | None = None
    stream_type: str | None = None
    stream_params: StreamParams | None = None


EVENTS: dict[str, type[CallPayload]] = {
    "call.initiated": CallInitiated,
    "call.answered": CallAnswered,
    "call.bridged": CallBridged,
    "call.hangup": CallHangup,
    "call.dtmf.received": CallDtmfReceived,
    "call.speak.started": CallSpeakStarted,
    "call.speak.ended": CallSpeakEnded,
    "call.playback.started": CallPlaybackStarted,
    "call.playback.ended": CallPlaybackEnded,
    "call.gather.ended": CallGatherEnded,
    "call.recording.saved": CallRecordingSaved,
    "call.recording.error": CallRecordingError,
    "call.transcription": CallTranscription,
    "call.machine.detection.ended": CallMachineDetectionEnded,
    "call.machine.greeting.ended": CallMachineGreetingEnded,
    "call.machine.premium.detection.ended": CallMachinePremiumDetectionEnded,
    "call.machine.premium.greeting.ended": CallMachinePremiumGreetingEnded,
    "call.hold": CallHold,
    "call.unhold": CallUnhold,
    "call.fork.started": CallForkStarted,
    "call.fork.stopped": CallForkStopped,
    "call.cost": CallCost,
    "call.machine.premium.detection.started": CallMachinePremiumDetectionStarted,
    "call.machine.premium.call_screening.detected": CallMachinePremiumCallScreeningDetected,
    "call.recording.transcription.saved": CallRecordingTranscriptionSaved,
    "call.ai_gather.ended": CallAIGatherEnded,
    "call.ai_gather.partial_results": CallAIGatherPartialResults,
    "call.ai_gather.message_history_updated": CallAIGatherMessageHistoryUpdated,
    "call.enqueued": CallEnqueued,
    "call.dequeued": CallDequeued,
    "call.refer.started": CallReferStarted,
    "call.refer.completed": CallReferCompleted,
    "call.refer.failed": CallReferFailed,
    "call.conversation.created": CallConversationCreated,
    "call.conversation.start_failed": CallConversationStartFailed,
    "call.conversation.ended": CallConversationEnded,
    "call.conversation_insights.generated": CallConversationInsightsGenerated,
    "call.analyzed": CallAnalyzed,
    "call.deepfake_detection.result": CallDeepfakeDetectionResult,
    "call.deepfake_detection.error": CallDeepfakeDetectionError,
    "siprec.started": SiprecStarted,
    "siprec.stopped": SiprecStopped,
    "siprec.failed": SiprecFailed,
    "conference.created": ConferenceCreated,
    "conference.ended": ConferenceEnded,
    "conference.floor.changed": ConferenceFloorChanged,
    "conference.participant.joined": ConferenceParticipantJoined,
    "conference.participant.left": ConferenceParticipantLeft,
    "conference.participant.playback.started": ConferenceParticipantPlaybackStarted,
    "conference.participant.playback.ended": ConferenceParticipantPlaybackEnded,
    "conference.participant.speak.started": ConferenceParticipantSpeakStarted,
    "conference.participant.speak.ended": ConferenceParticipantSpeakEnded,
    "streaming.started": StreamingStarted,
    "streaming.stopped": StreamingStopped,
    "streaming.failed": StreamingFailed,
}
"""Event name → its payload. An event that is not here gets a plain `CallPayload`."""

CONFERENCE_EVENTS: dict[str, type[ConferencePayload]] = {
    "conference.playback.started": ConferencePlaybackStarted,
    "conference.playback.ended": ConferencePlaybackEnded,
    "conference.speak.started": ConferenceSpeakStarted,
    "conference.speak.ended": ConferenceSpeakEnded,
    "conference.recording.saved": ConferenceRecordingSaved,
}
"""Events about a whole conference, which name no leg."""

_UNDERSCORED = {name.replace(".", "_"): name for name in EVENTS}
"""Names as dograh saw them inside version 2 envelopes (`streaming_started`)."""


class Webhook(Document, frozen=True, kw_only=True):
    """One event. `payload` is one of the classes of `EVENTS`; `attempt` starts at 1 and grows with each retry."""

    id: str
    event_type: str
    payload: CallPayload
    occurred_at: str | None = None
    attempt: int | None = None
    delivered_to: str | None = None


class ConferenceWebhook(Document, frozen=True, kw_only=True):
    """One event about a whole conference."""

    id: str
    event_type: str
    payload: ConferencePayload
    occurred_at: str | None = None
    attempt: int | None = None
    delivered_to: str | None = None


class Version1Webhook(Part, frozen=True, kw_only=True):
    """An event of an application that is still on API version 1: nothing in it can be verified or acted on."""

    event_type: str


def parse_webhook(body: bytes) -> Webhook | ConferenceWebhook | Version1Webhook:
    """Read the body of one webhook.

    Raises RemoteProtocolError (`not_json`, `wrong_shape`) when it is no event of a call: the text says what is missing.
    """
    return read_webhook(parse_json(body, "webhook"))


def read_webhook(document: Json) -> Webhook | ConferenceWebhook | Version1Webhook:
    """The same for a document that is parsed already (a stored one). Raises RemoteProtocolError (`wrong_shape`)."""
    data = document.get("data")
    if data is None and isinstance(document.get("event_type"), str) and isinstance(document.get("payload"), dict):
        return Version1Webhook(event_type=document["event_type"])
    if not isinstance(data, dict):
        raise RemoteProtocolError("wrong_shape", "webhook has no data object")
    event_type, event_id = data.get("event_type"), data.get("id")
    if not isinstance(event_type, str) or not event_type:
        raise RemoteProtocolError("wrong_shape", "webhook has no data.event_type")
    if not isinstance(event_id, str) or not event_id:
        raise RemoteProtocolError("wrong_shape", f"{event_type} has no data.id, so duplicates could not be told apart")
    name = _UNDERSCORED.get(event_type, event_type)
    meta = data_meta if isinstance(data_meta := document.get("meta"), dict) else {}
    occurred_at, attempt, delivered_to = (
        data.get("occurred_at"),
        meta.get("attempt"),
        meta.get("delivered_to"),
    )
    envelope: dict[str, Any] = {
        "id": event_id,
        "event_type": name,
        "occurred_at": occurred_at if isinstance(occurred_at, str) else None,
        "attempt": attempt if isinstance(attempt, int) else None,
        "delivered_to": delivered_to if isinstance(delivered_to, str) else None,
    }
    what = f"{event_type} payload"
    webhook: Webhook | ConferenceWebhook
    if name in CONFERENCE_EVENTS:
        webhook = ConferenceWebhook(payload=read(CONFERENCE_EVENTS[name], data.get("payload"), what), **envelope)
    else:
        webhook = Webhook(payload=read(EVENTS.get(name, CallPayload), data.get("payload"), what), **envelope)
    return msgspec.structs.replace(webhook, extra=difference(document, _document(webhook)))


def webhook_document(webhook: Webhook | ConferenceWebhook) -> Json:
    """The document that Telnyx would send for `webhook`."""
    return merge(_document(webhook), webhook.extra)


def encode_webhook(webhook: Webhook | ConferenceWebhook) -> bytes:
    """The body that Telnyx would send: keys in alphabetical order, as in the captures."""
    return msgspec.json.encode(webhook_document(webhook), order="sorted")


def version_1_document(webhook: Webhook | ConferenceWebhook) -> Json:
    """The same event as an application on API version 1 gets it: no data, underscores, `created_at`."""
    data = webhook_document(webhook)["data"]
    created = {"created_at": data["occurred_at"]} if "occurred_at" in data else {}
    return {
        "record_type": "event",
        "id": webhook.id,
        "event_type": webhook.event_type.replace(".", "_"),
        **created,
        "payload": data["payload"],
    }


def _document(webhook: Webhook | ConferenceWebhook) -> Json:
    data: Json = {
        "record_type": "event",
        "event_type": webhook.event_type,
        "id": webhook.id,
        "payload": write(webhook.payload),
    }
    if webhook.occurred_at is not None:
        data["occurred_at"] = webhook.occurred_at
    meta: dict[str, Any] = {}
    if webhook.attempt is not None:
        meta["attempt"] = webhook.attempt
    if webhook.delivered_to is not None:
        meta["delivered_to"] = webhook.delivered_to
    return {"data": data, "meta": meta} if meta else {"data": data}
