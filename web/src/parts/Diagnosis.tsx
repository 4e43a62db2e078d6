// What the doctor says: the verdict first, then what stands behind it.

import type { Diagnosis, Found } from "../api";
import { copy } from "./basics";
import { Icon } from "./Icon";

export function DiagnosisCard({ diagnosis }: { diagnosis: Diagnosis }) {
  const verdict = diagnosis.verdict ?? diagnosis.undecided;
  return (
    <div class="diagnosis">
      {verdict ? (
        <Verdict found={verdict} decided={diagnosis.decided} />
      ) : (
        <div class={`verdict-box ${diagnosis.healthy ? "good" : "unknown"}`}>
          <Icon name={diagnosis.healthy ? "good" : "unknown"} />
          <div>
            <h3>{diagnosis.heading}</h3>
          </div>
        </div>
      )}
      {diagnosis.suspects.length > 0 ? (
        <section>
          <h4>The usual suspects</h4>
          <ul class="suspects">
            {diagnosis.suspects.map((one) => (
              <li key={one.name} class={one.guilty === true ? "bad" : one.guilty === false ? "good" : "unknown"}>
                <Icon name={one.guilty === true ? "bad" : one.guilty === false ? "good" : "unknown"} />
                <span>
                  <b>{one.name}?</b> {one.words}
                </span>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      <Others diagnosis={diagnosis} verdict={verdict} />
      <Rest diagnosis={diagnosis} />
    </div>
  );
}

/** An account can be wrong in several ways at once, and each has to be mended. */
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
            <Verdict key={found.code} found={found} decided={found.decided} />
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
      <Fold title="Ruled out" lines={diagnosis.ruled_out.map((one) => `${one.code} ${one.title} (${one.evidence})`)} />
      <Fold
        title="Not checked"
        lines={diagnosis.not_checked.map(
          (one) => `${one.code} ${one.title}: ${one.reason}${one.how ? `; ${one.how}` : ""}`,
        )}
      />
    </>
  );
}

function Verdict({ found, decided }: { found: Found; decided: boolean }) {
  return (
    <div class={`verdict-box ${decided ? "bad" : "unknown"}`}>
      <Icon name={decided ? "bad" : "unknown"} />
      <div>
        <h3>{decided ? found.title : `Not decided: ${found.title}`}</h3>
        <p class="meta">
          <code>{found.code}</code> {found.layer} · up to: <b>{found.owner}</b>
          {found.confidence === "high" ? "" : ` · confidence: ${found.confidence}`}
          {found.under ? ` · explained by ${found.under}` : ""}
        </p>
        <p>{`${found.summary.charAt(0).toUpperCase()}${found.summary.slice(1)}.`}</p>
        <p>{found.why}</p>
        {found.question ? (
          <p>
            <b>What would decide it:</b> {found.question}
          </p>
        ) : (
          <div class="fix">
            <div class="fix-head">
              <b>Fix</b>
              <button type="button" class="button quiet small" onClick={() => void copy(found.fix, "Fix")}>
                <Icon name="copy" /> Copy
              </button>
            </div>
            <pre>{found.fix}</pre>
          </div>
        )}
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
  return <Fold title="Explained by it, or behind it" lines={others.map((one) => `${one.code}: ${one.summary}`)} open />;
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
