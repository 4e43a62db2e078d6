const PATHS = {
  logo: "M2 12h3.5l2.5-7 4 14 3.5-10 2 3H22",
  sun: "M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z",
  help: "M9.2 9a3 3 0 1 1 4.2 2.8c-.9.5-1.4 1-1.4 2.2M12 17.5v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM16 16l4.5 4.5",
  in: "M19 5 8 16M8 8v8h8",
  out: "M5 19 16 8M8 8h8v8",
  good: "m5 12.5 4.5 4.5L19 7.5",
  bad: "M6 6l12 12M18 6 6 18",
  warn: "M12 4 2.8 20h18.4L12 4ZM12 10v4.5M12 17.2v.1",
  live: "M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7Z",
  copy: "M9 9h10v11H9zM5 15V4h10",
  again: "M20 12a8 8 0 1 1-2.5-5.8M20 4v5h-5",
  play: "M7 4.5v15l12-7.5-12-7.5Z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  phone:
    "M6.5 3.5 9 4l1.2 4-2 1.7a12 12 0 0 0 6 6l1.8-2 4 1.3.5 2.5c-.4 1.7-1.5 3-3.5 3C9.800 20 4 14 3.500 7c0-2 1.300-3.100 3-3.500Z",
  hangup: "M3 14c5-5.300 13-5.300 18 0l-2 2.500-4-1.500v-2.500c-2-.600-4-.600-6 0V15l-4 1.500L3 14Z",
  mic: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM5.500 11a6.500 6.500 0 0 0 13 0M12 17.500V21",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  download: "M12 4v11M7.500 11 12 15.500 16.500 11M5 20h14",
  left: "M14.500 5 8 12l6.500 7",
  share: "M12 15V4M7.500 8 12 3.500 16.500 8M5 12v8h14v-8",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  unknown: "M9.200 9a3 3 0 1 1 4.200 2.800c-.900.500-1.400 1-1.400 2.200M12 17.500v.100",
} as const;

export type IconName = keyof typeof PATHS;

/** Drawn in the colour of the text. Says nothing to a screen reader: the words beside it do. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="svg-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
