import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { allKeys } from "../keys";

export const helpOpen = signal(false);

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpOpen.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpOpen.value]);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={() => (helpOpen.value = false)}>
      <h2 id="help-title">Keys</h2>
      <dl>
        {helpOpen.value
          ? allKeys().map((one) => (
              <div key={one.key}>
                <dt>
                  <kbd>{one.key === " " ? "Space" : one.key}</kbd>
                </dt>
                <dd>{one.does}</dd>
              </div>
            ))
          : null}
      </dl>
      <form method="dialog">
        <button type="submit" class="button">
          Close
        </button>
      </form>
    </dialog>
  );
}
