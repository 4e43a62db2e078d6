// Server-sent events out of a fetch: EventSource cannot POST, and a probe is nothing to be had by GET.

export interface ServerEvent {
  name: string;
  data: unknown;
}

/** Cuts events out of a text that comes in pieces. */
export class EventReader {
  #rest = "";

  push(piece: string): ServerEvent[] {
    const blocks = (this.#rest + piece).split("\n\n");
    this.#rest = blocks.pop() ?? "";
    return blocks.flatMap((block) => {
      const event = parseBlock(block);
      return event ? [event] : [];
    });
  }
}

function parseBlock(block: string): ServerEvent | null {
  let name = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length === 0 ? null : { name, data: JSON.parse(data.join("\n")) };
}

export async function readEvents(answer: Response, take: (event: ServerEvent) => void): Promise<void> {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  const events = new EventReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const event of events.push(value)) take(event);
  }
}
