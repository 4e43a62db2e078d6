// A recording on the call's time axis: both sides apart, with a player. The peaks come from the server.

import { useSignal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import WaveSurfer from "wavesurfer.js";
import { api, type EntryDocument, links, type Outline, type RecordingDocument } from "../api";
import { duration } from "../format";
import { useKeysOf } from "../keys";
import { levelsOf } from "../plots";
import { colour, isDark } from "../theme";
import { originOf } from "../timeline";
import { Loading, Trouble } from "./basics";
import { Icon } from "./Icon";
import { Plot } from "./Plot";
import { type Axis, GUTTER, useWidth } from "./Timeline";

const SIDE_HEIGHT = 56;
const MARKED: Record<string, string> = {
  "dtmf.received": "key",
  "playout.cleared": "barge-in",
  "mark.returned": "mark",
  note: "note",
};

interface Props extends Axis {
  session: string;
  recording: RecordingDocument;
  entries: readonly EntryDocument[];
}

export function Waveform({ session, recording, entries, ...axis }: Props) {
  const [outline, setOutline] = useState<Outline | null>(null);
  const [trouble, setTrouble] = useState<Error | null>(null);
  useEffect(() => {
    api.outline(session, recording.number).then(setOutline, setTrouble);
  }, [session, recording.number]);
  if (trouble) return <Trouble error={trouble} />;
  if (!outline) return <Loading label="Reading the recording" />;
  const beganMs = recording.began_unix_ms - originOf(entries);
  return (
    <>
      <Player session={session} recording={recording} entries={entries} outline={outline} beganMs={beganMs} {...axis} />
      <Plot
        title="Levels"
        unit="dB"
        range={[-72, 0]}
        plotted={levelsOf(outline, beganMs)}
        names={outline.sides.map((side) => ({ label: side.name, colour: side.name === "bot" ? "bot" : "caller" }))}
        {...axis}
      />
    </>
  );
}

type Hearing = "both" | "caller" | "bot";

function Player({
  session,
  recording,
  entries,
  outline,
  beganMs,
  view,
  playing,
}: Props & { outline: Outline; beganMs: number }) {
  const [box, width] = useWidth();
  const element = useRef<HTMLDivElement>(null);
  const surfer = useRef<WaveSurfer | null>(null);
  const mix = useRef<((hearing: Hearing) => void) | null>(null);
  const isPlaying = useSignal(false);
  const at = useSignal(0);
  const hearing = useSignal<Hearing>("both");
  const { fromMs, toMs } = view.value;
  const inner = Math.max(1, width - GUTTER - 8);
  const perSecond = inner / ((toMs - fromMs) / 1000);
  const left = Math.max(0, ((beganMs - fromMs) / 1000) * perSecond);
  const skippedS = Math.max(0, (fromMs - beganMs) / 1000);
  const shownPx = Math.max(0, Math.min(inner - left, (outline.duration_ms / 1000 - skippedS) * perSecond));
  useEffect(() => {
    if (!element.current || width === 0) return;
    const audio = new Audio();
    audio.preload = "metadata";
    audio.src = links.recording(session, recording.number);
    const side = (name: string) => ({ waveColor: colour(name), progressColor: colour(`${name}-played`) });
    const made = WaveSurfer.create({
      container: element.current,
      media: audio,
      peaks: outline.sides.map((one) => one.peaks.map((peak) => peak / 32768)),
      duration: outline.duration_ms / 1000,
      height: SIDE_HEIGHT,
      normalize: false,
      cursorColor: colour("playhead"),
      cursorWidth: 2,
      hideScrollbar: true,
      autoScroll: false,
      autoCenter: false,
      cspNonce: document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "",
      splitChannels: outline.sides.map((one) => side(one.name)),
    });
    made.on("play", () => {
      isPlaying.value = true;
    });
    made.on("pause", () => {
      isPlaying.value = false;
    });
    made.on("timeupdate", (seconds) => {
      at.value = seconds;
      playing.value = beganMs + seconds * 1000;
    });
    surfer.current = made;
    mix.current = null;
    return () => {
      made.destroy();
      surfer.current = null;
      playing.value = null;
    };
  }, [session, recording.number, width > 0, isDark.value]);
  useEffect(() => {
    const made = surfer.current;
    if (!made || shownPx <= 0) return;
    const apply = () => {
      made.setOptions({ minPxPerSec: perSecond, width: shownPx });
      made.setScrollTime(skippedS);
    };
    const frame = requestAnimationFrame(apply);
    return () => cancelAnimationFrame(frame);
  }, [perSecond, shownPx, skippedS, isDark.value]);

  useEffect(
    () => useKeysOf([{ key: " ", does: "Play or pause the recording", run: () => void surfer.current?.playPause() }]),
    [],
  );

  const hear = (wanted: Hearing) => {
    hearing.value = wanted;
    const media = surfer.current?.getMediaElement();
    if (!media) return;
    mix.current ??= apart(media);
    mix.current(wanted);
  };

  const origin = originOf(entries);
  const marks = entries.filter((entry) => entry.kind in MARKED);
  const stereo = outline.sides.length > 1;
  return (
    <div class="waveform">
      <div class="player">
        <button type="button" class="button primary" onClick={() => void surfer.current?.playPause()}>
          <Icon name={isPlaying.value ? "pause" : "play"} /> {isPlaying.value ? "Pause" : "Play"}
        </button>
        <span class="time" aria-live="off">
          {duration(at.value * 1000)} of {duration(outline.duration_ms)}
        </span>
        {stereo ? (
          <fieldset class="choice">
            <legend class="hidden">Hear</legend>
            {(["both", "caller", "bot"] as const).map((one) => (
              <button key={one} type="button" aria-pressed={hearing.value === one} onClick={() => hear(one)}>
                {one}
              </button>
            ))}
          </fieldset>
        ) : null}
        <a class="button quiet" href={links.recording(session, recording.number)} download={`${session}.wav`}>
          <Icon name="download" /> WAV
        </a>
      </div>
      <div ref={box} class="wave-row">
        <div class="wave-labels" aria-hidden="true">
          {outline.sides.map((one) => (
            <span key={one.name} class={one.name}>
              {one.name}
            </span>
          ))}
        </div>
        <div
          ref={element}
          class="wave"
          style={{
            marginLeft: `${GUTTER + left}px`,
            width: `${shownPx}px`,
            height: `${SIDE_HEIGHT * outline.sides.length}px`,
          }}
        />
        {marks.map((entry) => {
          const px = GUTTER + ((entry.at_unix_ms - origin - fromMs) / 1000) * perSecond;
          if (px < GUTTER || px > width - 8) return null;
          return (
            <span key={entry.number} class="wave-mark" style={{ left: `${px}px` }} title={entry.line}>
              {MARKED[entry.kind]}
            </span>
          );
        })}
      </div>
    </div>
  );
}

/** Lets one side through, on both ears. */
function apart(media: HTMLMediaElement): (hearing: Hearing) => void {
  const context = new AudioContext();
  const splitter = context.createChannelSplitter(2);
  const gains = [context.createGain(), context.createGain()] as const;
  context.createMediaElementSource(media).connect(splitter);
  for (const [side, gain] of gains.entries()) {
    splitter.connect(gain, side);
    gain.connect(context.destination);
  }
  return (hearing) => {
    void context.resume();
    gains[0].gain.value = hearing === "bot" ? 0 : 1;
    gains[1].gain.value = hearing === "caller" ? 0 : 1;
  };
}
