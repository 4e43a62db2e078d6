// The timeline as a picture: lanes, bars, dots; zoomed and moved with everything else on its axis.

import type { Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { EntryDocument, StageRow } from "../api";
import { since } from "../format";
import {
  dotsOf,
  goneOf,
  LANES,
  moved,
  originOf,
  type Span,
  spansOf,
  tickLabel,
  ticks,
  type View,
  zoomed,
} from "../timeline";

export const GUTTER = 104;
const LANE = 40;
const TOP = 26;
const BOTTOM = 22;

export function useWidth(): [preact.RefObject<HTMLDivElement | null>, number] {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const sizes = new ResizeObserver(() => setWidth(element.clientWidth));
    sizes.observe(element);
    setWidth(element.clientWidth);
    return () => sizes.disconnect();
  }, []);
  return [box, width];
}

export interface Axis {
  view: Signal<View>;
  whole: View;
  /** Where the player is, ms since the first entry; null: nowhere. */
  playing: Signal<number | null>;
}

interface Props extends Axis {
  entries: readonly EntryDocument[];
  stages: readonly StageRow[];
  /** Whether a stage that was not reached is shown as missing. */
  due: boolean;
  chosen: number | null;
  choose: (entry: EntryDocument) => void;
}

export function Timeline({ entries, stages, due, view, whole, playing, chosen, choose }: Props) {
  const [box, width] = useWidth();
  const drag = useRef<{ x: number; view: View } | null>(null);
  const shown = view.value;
  const inner = Math.max(1, width - GUTTER - 8);
  const height = TOP + LANES.length * LANE + BOTTOM;
  const x = (ms: number) => GUTTER + ((ms - shown.fromMs) / (shown.toMs - shown.fromMs)) * inner;
  const msAt = (px: number) => shown.fromMs + ((px - GUTTER) / inner) * (shown.toMs - shown.fromMs);
  const origin = originOf(entries);
  const apartMs = (18 / inner) * (shown.toMs - shown.fromMs);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const around = msAt(event.clientX - element.getBoundingClientRect().left);
      view.value = zoomed(view.peek(), whole, event.deltaY > 0 ? 1.25 : 0.8, around);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  });

  const down = (event: PointerEvent) => {
    if ((event.target as Element).closest("[role=button]")) return;
    drag.current = { x: event.clientX, view: shown };
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
  };
  const pull = (event: PointerEvent) => {
    if (!drag.current) return;
    const perPx = (drag.current.view.toMs - drag.current.view.fromMs) / inner;
    view.value = moved(drag.current.view, whole, (drag.current.x - event.clientX) * perPx);
  };

  const gone = due ? goneOf(stages, origin) : null;
  const goneAt = gone ? LANES.findIndex((one) => one.lane === gone.lane) : 0;
  const marks = stages.filter((stage) => stage.marker !== null && stage.at_unix_ms !== null);
  return (
    <div ref={box} class="timeline">
      {width > 0 ? (
        <svg
          width={width}
          height={height}
          role="group"
          aria-label="Timeline"
          onPointerDown={down}
          onPointerMove={pull}
          onPointerUp={() => {
            drag.current = null;
          }}
        >
          {LANES.map(({ lane, label }, at) => (
            <g key={lane}>
              <rect class={at % 2 ? "lane odd" : "lane"} x={0} y={TOP + at * LANE} width={width} height={LANE} />
              <text class="lane-label" x={10} y={TOP + at * LANE + LANE / 2 + 4}>
                {label}
              </text>
            </g>
          ))}
          {ticks(shown, inner / 110).map((at) => (
            <g key={at} class="tick">
              <line x1={x(at)} x2={x(at)} y1={TOP} y2={height - BOTTOM} />
              <text x={x(at)} y={height - 6}>
                {tickLabel(at, shown)}
              </text>
            </g>
          ))}
          <svg x={GUTTER} y={0} width={inner + 8} height={height} overflow="hidden" aria-hidden="true">
            <g transform={`translate(${-GUTTER} 0)`}>
              {spansOf(entries, shown.toMs).map((span, at) => (
                <Bar key={at} span={span} x={x} />
              ))}
              {gone ? (
                <g class="gone">
                  <rect
                    x={x(gone.fromMs)}
                    y={TOP + goneAt * LANE + LANE / 2 - 11}
                    width={Math.max(4, x(whole.toMs) - x(gone.fromMs) - 8)}
                    height={22}
                    rx={6}
                  />
                  {gone.marker ? (
                    <>
                      <circle cx={Math.max(GUTTER, x(gone.fromMs)) + 16} cy={TOP + goneAt * LANE + LANE / 2} r={8} />
                      <text
                        class="mark"
                        x={Math.max(GUTTER, x(gone.fromMs)) + 16}
                        y={TOP + goneAt * LANE + LANE / 2 + 4}
                      >
                        {gone.marker}
                      </text>
                    </>
                  ) : null}
                  <text
                    x={Math.max(GUTTER, x(gone.fromMs)) + (gone.marker ? 32 : 12)}
                    y={TOP + goneAt * LANE + LANE / 2 + 4}
                  >
                    never came: {gone.label}
                  </text>
                </g>
              ) : null}
              {spread(marks, (stage) => x((stage.at_unix_ms ?? 0) - origin)).map(({ item, left }) => (
                <g key={item.name} class="marker">
                  <line
                    x1={x((item.at_unix_ms ?? 0) - origin)}
                    x2={x((item.at_unix_ms ?? 0) - origin)}
                    y1={TOP - 4}
                    y2={height - BOTTOM}
                  />
                  <circle cx={left} cy={13} r={9} />
                  <text x={left} y={17}>
                    {item.marker}
                  </text>
                </g>
              ))}
            </g>
          </svg>
          {dotsOf(entries, shown, apartMs).map((dot) => {
            const first = dot.entries[0] as EntryDocument;
            const at = LANES.findIndex((one) => one.lane === dot.lane);
            const words = dot.entries.map((entry) => `${since(entry.at_unix_ms - origin)} ${entry.line}`);
            const many = dot.entries.length > 1;
            const isChosen = dot.entries.some((entry) => entry.number === chosen);
            return (
              <g
                key={first.number}
                class={`dot ${dot.tone} ${isChosen ? "chosen" : ""}`}
                role="button"
                tabIndex={0}
                aria-label={words.join("; ")}
                transform={`translate(${x(dot.atMs)} ${TOP + at * LANE + LANE / 2})`}
                onClick={() => choose(first)}
                onKeyDown={(event: KeyboardEvent) => {
                  if (event.key !== "Enter" && event.key !== " ") return;
                  event.preventDefault();
                  choose(first);
                }}
              >
                <title>{words.slice(0, 12).join("\n")}</title>
                <circle r={many ? 9 : 6} />
                {many ? <text y={4}>{dot.entries.length > 99 ? "…" : dot.entries.length}</text> : null}
              </g>
            );
          })}
          <Playhead playing={playing} x={x} height={height} />
        </svg>
      ) : null}
    </div>
  );
}

/** Marker badges side by side where their lines are too near to each other. */
function spread<T>(items: readonly T[], at: (item: T) => number): { item: T; left: number }[] {
  let last = Number.NEGATIVE_INFINITY;
  return items.map((item) => {
    last = Math.max(at(item), last + 20);
    return { item, left: last };
  });
}

function Bar({ span, x }: { span: Span; x: (ms: number) => number }) {
  const at = LANES.findIndex((one) => one.lane === span.lane);
  const left = Math.max(-50, x(span.fromMs));
  const width = Math.min(20_000, Math.max(3, x(span.toMs) - left));
  return (
    <rect
      class={`bar ${span.tone} ${span.open ? "open" : ""}`}
      x={left}
      y={TOP + at * LANE + LANE / 2 - 7}
      width={width}
      height={14}
      rx={5}
    />
  );
}

function Playhead({
  playing,
  x,
  height,
}: {
  playing: Signal<number | null>;
  x: (ms: number) => number;
  height: number;
}) {
  if (playing.value === null || x(playing.value) < GUTTER) return null;
  return <line class="playhead" x1={x(playing.value)} x2={x(playing.value)} y1={TOP} y2={height - BOTTOM} />;
}
