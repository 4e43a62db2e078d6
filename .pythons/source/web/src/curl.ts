// An entry as a command line, to be tried by hand. Keys are named, never copied: the page does not know them.

import type { CallDocument, EntryDocument } from "./api";

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

export function canCurl(entry: EntryDocument): boolean {
  return entry.kind === "webhook.received" || entry.kind === "command.sent";
}

export function curl(entry: EntryDocument, call: Pick<CallDocument, "webhook_url" | "api_base">): string {
  const what = entry.what as Record<string, unknown>;
  const body = quoted(JSON.stringify(what.body ?? {}));
  const masked = body.includes("•••")
    ? ["# Numbers and keys are masked here; CALLPATH_DASHBOARD_NUMBERS=full shows them."]
    : [];
  if (entry.kind === "webhook.received") {
    return [
      ...masked,
      "# Without Telnyx's signature the server answers 401: sign it, or resend it from the dashboard.",
      `curl -X POST ${quoted(call.webhook_url)} \\`,
      "  -H 'Content-Type: application/json' \\",
      `  --data-raw ${body}`,
    ].join("\n");
  }
  const id = String(what.call_control_id ?? "");
  const path = what.command === "dial" ? "/calls" : `/calls/${encodeURIComponent(id)}/actions/${String(what.command)}`;
  return [
    ...masked,
    `curl -X POST ${quoted(call.api_base.replace(/\/$/, "") + path)} \\`,
    '  -H "Authorization: Bearer $TELNYX_API_KEY" \\',
    "  -H 'Content-Type: application/json' \\",
    `  --data-raw ${body}`,
  ].join("\n");
}
