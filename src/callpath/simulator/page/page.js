"use strict";

const find = (id) => document.getElementById(id);
let shown = null; // the number of the call below, and its state when it was fetched

async function ask(path, body, method = "POST") {
  const how = body === undefined ? {} :
    { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(`/simulator${path}`, how);
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.error || `HTTP ${answer.status}`);
  return document;
}

function cell(row, text, kind) {
  const one = row.insertCell();
  one.textContent = text;
  if (kind) one.className = kind;
  return one;
}

function button(text, act) {
  const one = document.createElement("button");
  one.type = "button";
  one.textContent = text;
  one.addEventListener("click", () => act().catch((error) => { find("problem").textContent = error.message; }));
  return one;
}

function seconds(ms) { return `${(ms / 1000).toFixed(1)} s`; }

async function refresh() {
  const { calls } = await ask("/calls");
  find("none").hidden = calls.length > 0;
  const rows = find("calls");
  rows.replaceChildren();
  for (const call of calls.slice(0, 50)) {
    const row = rows.insertRow();
    cell(row, call.number, "number");
    cell(row, `${call.from} → ${call.to}`);
    cell(row, call.state, call.speaks ? "speaks" : "");
    cell(row, seconds(call.duration_ms), "number");
    cell(row, call.stream);
    cell(row, `${call.frames_out} / ${call.frames_in}`, "number");
    const acts = cell(row, "");
    acts.append(button("Show", () => show(call.number)));
    if (call.state !== "ended") {
      acts.append(" ", button("Hang up", () => ask(`/calls/${call.number}/hang-up`, {})));
      acts.append(" ", button("Press …", async () => {
        const digits = prompt("Keys", "1");
        if (digits) await ask(`/calls/${call.number}/press`, { digits });
      }));
    }
    if (shown && shown.number === call.number && shown.state !== call.state) await show(call.number);
  }
}

async function show(number) {
  const call = await ask(`/calls/${number}`);
  shown = { number, state: call.state };
  find("detail").hidden = false;
  find("title").textContent = `Call ${number}: ${call.state}`;
  find("failure").textContent = call.failure || "";
  const url = `/simulator/calls/${number}/recording.wav`;
  find("recording").src = `${url}?${Date.now()}`;
  find("download").href = url;
  const report = call.report;
  const events = [
    ...report.webhooks.map((one) => [one.at_ms, `${one.event} → ${one.answers.map((a) => a ?? "no answer").join(", ")}`]),
    ...report.commands.map((one) => [one.at_ms, `${one.name} ← ${one.status} ${one.codes.join(", ")}`]),
  ];
  if (report.stream.opened_at_ms !== null) events.push([report.stream.opened_at_ms, "stream open"]);
  find("events").replaceChildren();
  for (const [at, text] of events.sort((a, b) => a[0] - b[0])) {
    const row = find("events").insertRow();
    cell(row, `${at} ms`, "number");
    cell(row, text);
  }
  find("ear").replaceChildren();
  for (const [name, value] of Object.entries(report.ear)) {
    const measured = Array.isArray(value) ? value.join(", ") : value;
    if (measured === null || measured === "") continue;
    const row = find("ear").insertRow();
    cell(row, name);
    cell(row, measured, "number");
  }
}

async function place(event) {
  event.preventDefault();
  const form = event.target;
  find("problem").textContent = "";
  const body = { webhook: form.webhook.value, from: form.from.value, to: form.to.value };
  if (form.say.value) body.say = form.say.value;
  body.faults = [...form.faults.selectedOptions].map((one) => one.value);
  const file = form.wav.files[0];
  if (file) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    body.say_wav = btoa(text);
  }
  try {
    const call = await ask("/calls", body);
    await refresh();
    await show(call.number);
  } catch (error) {
    find("problem").textContent = error.message;
  }
}

async function setCallee(event) {
  event.preventDefault();
  const form = event.target;
  const body = { script: form.script.value };
  if (form.number.value) body.number = form.number.value;
  try {
    await ask("/callee", body, "PUT");
    find("set").textContent = `${body.number || "Every number"}: ${body.script}`;
  } catch (error) {
    find("set").textContent = error.message;
  }
}

async function begin() {
  const settings = await ask("/settings");
  find("settings").textContent =
    `TELNYX_API_BASE=${settings.api_base}\nTELNYX_API_KEY=${settings.api_key}\nTELNYX_PUBLIC_KEY=${settings.public_key}`;
  if (settings.webhook_url) find("place").webhook.value = settings.webhook_url;
  for (const fault of settings.faults) {
    const option = new Option(fault.name, fault.name);
    option.title = fault.must;
    find("place").faults.append(option);
  }
  for (const [name, what] of Object.entries(settings.callees)) {
    find("dialled").script.append(new Option(`${name}: ${what}`, name));
  }
  find("place").addEventListener("submit", place);
  find("dialled").addEventListener("submit", setCallee);
  for (;;) {
    await refresh().catch((error) => { find("problem").textContent = `The simulator does not answer: ${error.message}`; });
    await new Promise((done) => setTimeout(done, 1000));
  }
}

begin();
