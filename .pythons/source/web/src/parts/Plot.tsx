// One plot on the call's time axis.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Plotted } from "../plots";
import { colour, isDark } from "../theme";
import { tickLabel } from "../timeline";
import { type Axis, GUTTER, useWidth } from "./Timeline";

interface Props extends Axis {
  title: string;
  plotted: Plotted;
  names: { label: string; colour: string }[];
  unit: string;
  range?: [number, number];
}

export function Plot({ title, plotted, names, unit, range, view }: Props) {
  const [box, width] = useWidth();
  const plot = useRef<uPlot | null>(null);
  const { fromMs, toMs } = view.value;
  const data = [plotted.seconds, ...plotted.series] as uPlot.AlignedData;
  useEffect(() => {
    const element = box.current;
    if (!element || width === 0) return;
    const line = colour("line");
    const text = colour("muted");
    const made = new uPlot(
      {
        width,
        height: 118,
        padding: [8, 8, 0, 0],
        legend: { show: false },
        cursor: { drag: { setScale: false }, y: false, points: { size: 7 } },
        scales: {
          x: { time: false, range: () => [view.peek().fromMs / 1000, view.peek().toMs / 1000] },
          y: range ? { range } : { range: (_, low, high) => [Math.min(0, low), Math.max(1, high * 1.1)] },
        },
        axes: [
          {
            stroke: text,
            grid: { stroke: line, width: 1 },
            ticks: { show: false },
            size: 24,
            space: 110,
            values: (_, splits) => splits.map((at) => tickLabel(at * 1000, view.peek())),
          },
          {
            stroke: text,
            grid: { stroke: line, width: 1 },
            ticks: { show: false },
            size: GUTTER,
            values: (_, splits) => splits.map((at) => `${at} ${unit}`),
          },
        ],
        series: [
          {},
          ...names.map((name) => ({
            label: name.label,
            stroke: colour(name.colour),
            width: 1.6,
            points: { show: false },
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [width, isDark.value]);
  useEffect(() => {
    plot.current?.setData(data);
  }, [fromMs, toMs, plotted]);
  return (
    <figure class="plot">
      <figcaption>
        {title}
        {names.map((name) => (
          <span key={name.label} class={`key ${name.colour}`}>
            <i aria-hidden="true" />
            {name.label}
          </span>
        ))}
      </figcaption>
      <div
        ref={box}
        class="plot-box"
        role="img"
        aria-label={`${title}: ${names.map((name) => name.label).join(", ")}`}
      />
    </figure>
  );
}
