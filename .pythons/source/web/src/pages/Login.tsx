import { useRef, useState } from "preact/hooks";
import { api } from "../api";
import { Icon } from "../parts/Icon";

export function Login({ done }: { done: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await api.login(field.current?.value ?? "");
      done();
    } catch (error) {
      setTrouble((error as Error).message);
      field.current?.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <form onSubmit={submit}>
        <span class="brand">
          <Icon name="logo" />
          <span>callpath</span>
        </span>
        <label for="token">Dashboard token</label>
        <input
          ref={field}
          id="token"
          type="password"
          autocomplete="current-password"
          required
          aria-describedby="token-help"
          aria-invalid={trouble !== ""}
        />
        <p id="token-help" class={trouble ? "problem" : "hint"} role={trouble ? "alert" : undefined}>
          {trouble || "What CALLPATH_DASHBOARD_TOKEN holds on the server."}
        </p>
        <button type="submit" class="button primary" disabled={busy}>
          Log in
        </button>
      </form>
    </main>
  );
}
