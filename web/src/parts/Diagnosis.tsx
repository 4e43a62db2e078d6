// What the doctor says: the verdict first, then what stands behind it.

import type { Diagnosis, Found } from "../api";
import { advice, headingOf, meaning, toneOf } from "../diagnosis";
import { copy } from "./basics";
import { Icon } from "./Icon";

export function DiagnosisCard({ diagnosis }: { diagnosis: Diagnosis }) {
  const verdict = diagnosis.verdict ?? diagnosis.undecided;
  const tone = toneOf(diagnosis);
  return (
    <div class="diagnosis">
      {verdict ? (
        <Verdict found={verdict} heading={diagnosis.heading} steps={diagnosis} />
      ) : (
        <div class={`verdict-box ${tone}`}>
          <Icon name={tone} />
          <div>
            <h3>{diagnosis.heading}</h3>
          </div>
        </div>
      )}
      <Others diagnosis={diagnosis} verdict={verdict} />
      <Rest diagnosis={diagnosis} />
    </div>
  );
}

/** An account can be wrong in several ways at once, and each has to be fixed. */
export function AccountCard({ diagnosis }: { diagnosis: Diagnosis }) {
  const faults = diagnosis.findings.filter((found) => found.decided);
  return (
    <div class="diagnosis">
      {diagnosis.findings.length === 0 ? (
        <div class={`verdict-box ${diagnosis.healthy ? "good" : "unknown"}`}>
          <Icon name={diagnosis.healthy ? "good" : "unknown"} />
          <div>
            <h3>{diagnosis.healthy ? "Healthy: the account is set right" : "Not decided"}</h3>
            <p>
              {diagnosis.healthy
                ? "That is how it is set. Whether audio arrives, the probe above shows."
                : "Nothing wrong was found, but too little could be seen: the steps above say what."}
            </p>
          </div>
        </div>
      ) : (
        <>
          <h3>
            {faults.length === 0
              ? "Not decided"
              : faults.length === 1
                ? "1 problem in the account settings"
                : `${faults.length} problems in the account settings`}
          </h3>
          {diagnosis.findings.map((found) => (
            <Verdict key={found.code} found={found} heading={headingOf(found)} />
          ))}
        </>
      )}
      <Rest diagnosis={diagnosis} />
    </div>
  );
}

function Rest({ diagnosis }: { diagnosis: Diagnosis }) {
  return (
    <>
      <Fold title="Proven" lines={diagnosis.proven} />
      <Fold title="Not proven" lines={diagnosis.unproven} />
      <Fold title="Notes" lines={diagnosis.notes.map((note) => `${note.code}: ${note.summary}`)} />
      <Fold title="Did not match" lines={diagnosis.ruled_out.map((one) => `${one.code} ${one.title}`)} />
      <Fold
        title="Not checked"
        lines={diagnosis.not_checked.map(
          (one) => `${one.code} ${one.title}: ${one.reason}${one.how ? `; ${one.how}` : ""}`,
        )}
      />
    </>
  );
}

function Verdict({
  found,
  heading,
  steps,
}: {
  found: Found;
  heading: string;
  steps?: Pick<Diagnosis, "reproduce" | "next_steps">;
}) {
  const tone = found.kind === "outcome" ? "good" : found.decided ? "bad" : "unknown";
  const todo = advice(found);
  return (
    <div class={`verdict-box ${tone}`}>
      <Icon name={tone} />
      <div>
        <h3>{heading}</h3>
        <div class="fix">
          <div class="fix-head">
            <b>{todo.label}</b>
            <button type="button" class="button quiet small" onClick={() => void copy(todo.text, todo.label)}>
              <Icon name="copy" /> Copy
            </button>
          </div>
          <pre>{todo.text}</pre>
        </div>
        <p class="meta">
          <code>{found.code}</code> {meaning(found)}
          {found.under ? ` · a consequence of ${found.under}` : ""}
        </p>
        <p>{found.summary}.</p>
        <p>{found.why}</p>
        {steps?.reproduce ? <pre>{`$ ${steps.reproduce}`}</pre> : null}
        {steps && steps.next_steps.length > 0 ? (
          <section>
            <h4>It may be, in the order in which to try</h4>
            <ol>
              {steps.next_steps.map((one) => (
                <li key={one.title}>
                  {one.title}
                  {one.command ? <pre>{`$ ${one.command}`}</pre> : null}
                </li>
              ))}
            </ol>
          </section>
        ) : null}
        {found.evidence.length > 0 ? (
          <details open={found.evidence.length <= 4}>
            <summary>Evidence</summary>
            <ul class="evidence">
              {found.evidence.map((line) => (
                <li key={line}>
                  <code>{line}</code>
                </li>
              ))}
            </ul>
          </details>
        ) : null}
      </div>
    </div>
  );
}

function Others({ diagnosis, verdict }: { diagnosis: Diagnosis; verdict: Found | null }) {
  const others = diagnosis.findings.filter((one) => one.code !== verdict?.code);
  return (
    <Fold
      title="Consequences, and what else was found"
      lines={others.map((one) => `${one.code}: ${one.summary}`)}
      open
    />
  );
}

function Fold({ title, lines, open = false }: { title: string; lines: string[]; open?: boolean }) {
  if (lines.length === 0) return null;
  return (
    <details class="fold" open={open}>
      <summary>
        {title} <span class="count">{lines.length}</span>
      </summary>
      <ul>
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </details>
  );
}
