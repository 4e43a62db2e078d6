import { useEffect } from "preact/hooks";
import { AccountCheck, Probe } from "../parts/Probe";

export function Doctor() {
  useEffect(() => {
    document.title = "Doctor · callpath";
  }, []);
  return (
    <div class="page narrow">
      <h1>Doctor</h1>
      <p class="lead">
        Plays Telnyx from this machine against the server’s own audio URL: name, connection, certificate, upgrade, audio
        there and back. The first layer that does not carry is named, with evidence and fix.
      </p>
      <section class="card">
        <div class="padded">
          <Probe session={null} label="Probe this server" />
        </div>
      </section>
      <p class="hint">
        From elsewhere, the same is said by <code>callpath doctor url wss://…/api/calls/test-connection/audio</code>.
      </p>
      <h2>Account</h2>
      <p class="lead">
        Asks Telnyx how the number, the application and its webhooks are set, and whether there is money; and Railway,
        where its token is set. What is wrong is named with what fixes it.
      </p>
      <section class="card">
        <div class="padded">
          <AccountCheck />
        </div>
      </section>
      <p class="hint">
        Needs TELNYX_API_KEY: <a href="/setup">Setup</a> says where to find it.{" "}
        <code>callpath doctor account --fix</code> also sets right what can be, after asking.
      </p>
    </div>
  );
}
