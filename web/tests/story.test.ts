import { describe, expect, it } from "vitest";
import { type Party, phasesOf } from "../src/story";

const party = (times: Partial<Party>): Party => ({
  letter: "B",
  role: "transfer",
  direction: "outgoing",
  number: null,
  words: "",
  began_unix_ms: 1000,
  answered_unix_ms: null,
  joined_unix_ms: null,
  ended_unix_ms: null,
  ...times,
});

describe("the times of a leg", () => {
  it("rings until it ends where nobody answers", () => {
    expect(phasesOf(party({ ended_unix_ms: 5000 }), 9000)).toEqual([{ name: "rings", fromMs: 1000, toMs: 5000 }]);
  });

  it("is up, and then joined", () => {
    const times = { answered_unix_ms: 2000, joined_unix_ms: 2500, ended_unix_ms: 7000 };
    expect(phasesOf(party(times), 9000)).toEqual([
      { name: "rings", fromMs: 1000, toMs: 2000 },
      { name: "up", fromMs: 2000, toMs: 2500 },
      { name: "joined", fromMs: 2500, toMs: 7000 },
    ]);
  });

  it("goes on until now while it lives", () => {
    expect(phasesOf(party({ answered_unix_ms: 2000 }), 9000).at(-1)).toEqual({ name: "up", fromMs: 2000, toMs: 9000 });
  });

  it("was joined without a call.answered of its own", () => {
    const times = { joined_unix_ms: 2000, ended_unix_ms: 3000 };
    expect(phasesOf(party(times), 9000).map((phase) => phase.name)).toEqual(["rings", "joined"]);
  });
});
