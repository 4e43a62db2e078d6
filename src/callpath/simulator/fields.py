"""Documented fields of commands that callpath itself has no use for, so that `wire` has no names for them.

`refusal` judges them by these types: Telnyx refuses a wrong one, and so must a simulator. Source: Telnyx's OpenAPI file
of 2026-07-16, for gathers and recordings its Python SDK 4.189.0. An object whose inside is not judged is a plain dict.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Json = dict[str, Any]
Language = Literal[
    "arb", "cmn-CN", "cy-GB", "da-DK", "de-DE", "en-AU", "en-GB", "en-GB-WLS", "en-IN", "en-US", "es-ES", "es-MX",
    "es-US", "fr-CA", "fr-FR", "hi-IN", "is-IS", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-BR", "pt-PT",
    "ro-RO", "ru-RU", "sv-SE", "tr-TR",
]  # fmt: skip
Track = Literal["both", "inbound", "outbound"]


class _Header(msgspec.Struct):
    name: str
    value: str


class _SipHeader(msgspec.Struct):
    name: Literal["User-to-User"]
    value: str


class RetriesPolicy(msgspec.Struct):
    """Pauses before each retry of one kind of webhook."""

    retries_ms: list[int] | None = None


class _Deepfake(msgspec.Struct):
    enabled: bool
    timeout: int | None = None
    rtp_timeout: int | None = None


class _Detection(msgspec.Struct):
    after_greeting_silence_millis: int | None = None
    between_words_silence_millis: int | None = None
    greeting_duration_millis: int | None = None
    greeting_silence_duration_millis: int | None = None
    greeting_total_analysis_time_millis: int | None = None
    initial_silence_millis: int | None = None
    maximum_number_of_words: int | None = None
    maximum_word_length_millis: int | None = None
    silence_threshold: int | None = None
    total_analysis_time_millis: int | None = None
    prompt_end_timeout_millis: int | None = None
    beep_detection_profile: Literal["both", "freq_only"] | None = None
    beep_min_frequency_hz: int | None = None
    beep_max_frequency_hz: int | None = None
    beep_min_tone_duration_millis: int | None = None
    beep_spectral_confirmation: bool | None = None
    beep_spectral_min_purity: float | None = None
    beep_spectral_window_millis: int | None = None
    beep_spectral_reject_fax_cng: bool | None = None


class _Conference(msgspec.Struct):
    beep_enabled: Literal["always", "never", "on_enter", "on_exit"] | None = None
    conference_name: str | None = None
    early_media: bool | None = None
    end_conference_on_exit: bool | None = None
    hold: bool | None = None
    hold_audio_url: str | None = None
    hold_media_name: str | None = None
    id: str | None = None
    mute: bool | None = None
    soft_end_conference_on_exit: bool | None = None
    start_conference_on_create: bool | None = None
    start_conference_on_enter: bool | None = None
    supervisor_role: Literal["barge", "monitor", "none", "whisper"] | None = None
    whisper_call_control_ids: list[str] | None = None


class _Dialogflow(msgspec.Struct):
    analyze_sentiment: bool | None = None
    partial_automated_agent_reply: bool | None = None


class _Recorded(msgspec.Struct):
    record: Literal["record-from-answer"] | None = None
    record_channels: Literal["single", "dual"] | None = None
    record_custom_file_name: str | None = None
    record_format: Literal["wav", "mp3"] | None = None
    record_max_length: int | None = None
    record_timeout_secs: int | None = None
    record_track: Track | None = None
    record_trim: Literal["trim-silence"] | None = None


class _SetUp(_Recorded):
    custom_headers: list[_Header] | None = None
    sip_headers: list[_SipHeader] | None = None
    sound_modifications: Json | None = None
    preferred_codecs: str | None = None
    webhook_urls: dict[str, str] | None = None
    webhook_url_method: Literal["POST", "GET"] | None = None
    webhook_urls_method: Literal["POST", "GET"] | None = None
    webhook_retries_policies: dict[str, RetriesPolicy] | None = None


class _Answer(_SetUp):
    assistant: Json | None = None
    billing_group_id: str | None = None
    conversation_relay_config: Json | None = None
    deepfake_detection: _Deepfake | None = None
    transcription: bool | None = None
    transcription_config: Json | None = None


class _Placed(_SetUp):
    answering_machine_detection_config: _Detection | None = None
    from_display_name: str | None = None
    media_encryption: Literal["disabled", "SRTP", "DTLS"] | None = None
    privacy: Literal["id", "none"] | None = None
    sip_auth_password: str | None = None
    sip_auth_username: str | None = None
    sip_region: Literal["US", "Europe", "Canada", "Australia", "Middle East"] | None = None
    sip_transport_protocol: Literal["UDP", "TCP", "TLS"] | None = None


class _Dial(_Placed):
    assistant: Json | None = None
    billing_group_id: str | None = None
    conference_config: _Conference | None = None
    conversation_relay_config: Json | None = None
    deepfake_detection: _Deepfake | None = None
    dialogflow_config: _Dialogflow | None = None
    enable_dialogflow: bool | None = None
    route_to_mobile: bool | None = None
    transcription: bool | None = None
    transcription_config: Json | None = None


class _Transfer(_Placed):
    route_to_mobile: bool | None = None


class _Bridge(_Recorded):
    ringtone: (
        Literal[
            "at", "au", "be", "bg", "br", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr", "hu", "il",
            "in", "it", "jp", "lt", "mx", "my", "nl", "no", "nz", "ph", "pl", "pt", "ru", "se", "sg", "th", "tw", "uk",
            "us-old", "us", "ve", "za",
        ]
        | None
    ) = None  # fmt: skip
    video_room_context: str | None = None
    video_room_id: str | None = None


class _StreamingStart(msgspec.Struct):
    dialogflow_config: _Dialogflow | None = None


class _Hangup(msgspec.Struct):
    custom_headers: list[_Header] | None = None


class _RecordStart(msgspec.Struct):
    transcription: bool | None = None
    transcription_engine: Literal["A", "B", "deepgram/nova-3"] | None = None
    transcription_language: str | None = None
    transcription_max_speaker_count: int | None = None
    transcription_min_speaker_count: int | None = None
    transcription_profanity_filter: bool | None = None
    transcription_speaker_diarization: bool | None = None


class _Spoken(msgspec.Struct):
    language: Language | None = None
    voice_settings: Json | None = None


class _Transcription(msgspec.Struct):
    transcription_engine: (
        Literal[
            "Google", "Telnyx", "Deepgram", "Azure", "xAI", "AssemblyAI", "Speechmatics", "Soniox", "Parakeet",
            "Humain", "Reson8", "Cohere", "A", "B",
        ]
        | None
    ) = None  # fmt: skip
    transcription_engine_config: Json | None = None


_Engine = Literal[
    "Google", "Telnyx", "Deepgram", "Azure", "xAI", "AssemblyAI", "Speechmatics", "Soniox", "A", "B"
]  # fmt: skip
_Cut = Literal["none", "any", "speech", "dtmf"]


class _RelayLanguage(msgspec.Struct):
    language: str
    speech_model: str | None = None
    transcription_engine: _Engine | None = None
    transcription_engine_config: Json | None = None
    transcription_provider: str | None = None
    tts_provider: str | None = None
    voice: str | None = None
    voice_settings: Json | None = None


class _RelaySettings(msgspec.Struct):
    url: str | None = None
    dtmf_detection: bool | None = None
    interruptible: _Cut | bool | None = None
    interruptible_greeting: _Cut | bool | None = None
    languages: list[_RelayLanguage] | None = None


class _Interruption(msgspec.Struct):
    enable: bool | None = None
    interruptible: _Cut | None = None
    interruptible_greeting: _Cut | None = None
    welcome_greeting_interruptible: _Cut | None = None


class _Relay(msgspec.Struct):
    assistant: Json | None = None
    conversation_relay_settings: _RelaySettings | None = None
    interruption_settings: _Interruption | None = None
    languages: list[_RelayLanguage] | None = None
    provider: str | None = None
    structured_provider: Json | None = None
    transcription: Json | None = None
    transcription_engine: _Engine | None = None
    tts_provider: str | None = None
    voice_settings: Json | None = None


class _SuppressionConfig(msgspec.Struct):
    attenuation_limit: int | None = None
    enhancement_level: float | None = None
    family: Literal["sparrow", "quail"] | None = None
    mode: Literal["standard", "advanced"] | None = None
    model: (
        Literal[
            "krisp-viva-tel-v2.kef", "krisp-viva-tel-lite-v1.kef", "krisp-viva-pro-v1.kef", "krisp-viva-ss-v1.kef",
        ]
        | None
    ) = None  # fmt: skip
    size: Literal["s", "l", "xs", "xxs", "vf_l", "vf_1_1_l"] | None = None
    suppression_level: float | None = None
    voice_gain: float | None = None


class _Suppression(msgspec.Struct):
    noise_suppression_engine: (
        Literal[
            "Denoiser", "DeepFilterNet", "Krisp", "AiCoustics", "aic_l_quail", "aic_l_rook", "aic_s_quail",
            "aic_s_rook", "quail_voice_focus_s", "quail_voice_focus_xs",
        ]
        | None
    ) = None  # fmt: skip
    noise_suppression_engine_config: _SuppressionConfig | None = None


class _Refer(msgspec.Struct):
    custom_headers: list[_Header] | None = None
    sip_headers: list[_SipHeader] | None = None


FIELDS: dict[str, type[msgspec.Struct]] = {
    "answer": _Answer,
    "dial": _Dial,
    "transfer": _Transfer,
    "bridge": _Bridge,
    "streaming_start": _StreamingStart,
    "hangup": _Hangup,
    "record_start": _RecordStart,
    "speak": _Spoken,
    "gather_using_speak": _Spoken,
    "transcription_start": _Transcription,
    "conversation_relay_start": _Relay,
    "suppression_start": _Suppression,
    "refer": _Refer,
}
"""Command → what it takes beyond its class in `wire`, and what that class takes for any text."""
