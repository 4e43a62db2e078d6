// The frame around every page: header, login, help, and the page that the address names.

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, whenLoginIsNeeded } from "./api";
import { useKeysOf } from "./keys";
import { connect, connection, disconnect, hasLogin } from "./live";
import { Calls } from "./pages/Calls";
import { Login } from "./pages/Login";
import { Empty, Loading, Toasts, Trouble } from "./parts/basics";
import { Help, helpOpen } from "./parts/Help";
import { Icon } from "./parts/Icon";
import { go, type Route, route } from "./router";
import { isDark, nextTheme } from "./theme";

const loginNeeded = signal(false);

// Pages beside the first one are fetched when they are opened: the first must be there at once.
const LAZY = {
  call: () => import("./pages/Call").then((module) => module.Call),
  phone: () => import("./pages/Phone").then((module) => module.Phone),
  doctor: () => import("./pages/Doctor").then((module) => module.Doctor),
  setup: () => import("./pages/Setup").then((module) => module.Setup),
};

const NAVIGATION = [
  { path: "/", label: "Calls", pages: ["calls", "call"] },
  { path: "/phone", label: "Phone", pages: ["phone"] },
  { path: "/doctor", label: "Doctor", pages: ["doctor"] },
  { path: "/setup", label: "Setup", pages: ["setup"] },
];

export function App() {
  useEffect(() => {
    whenLoginIsNeeded(() => {
      disconnect();
      loginNeeded.value = true;
    });
    connect();
    return useKeysOf([
      { key: "?", does: "Show the keys", run: () => (helpOpen.value = !helpOpen.value) },
      { key: "c", does: "Calls", run: () => go("/") },
      { key: "p", does: "Phone", run: () => go("/phone") },
      { key: "d", does: "Doctor", run: () => go("/doctor") },
      { key: "s", does: "Setup", run: () => go("/setup") },
      { key: "t", does: "Dark or light", run: nextTheme },
    ]);
  }, []);
  if (loginNeeded.value) {
    return (
      <Login
        done={() => {
          loginNeeded.value = false;
          connect();
        }}
      />
    );
  }
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        <Page route={route.value} />
      </main>
      <Help />
      <Toasts />
    </>
  );
}

function Header() {
  const here = route.value.page;
  return (
    <header class="top">
      <a class="brand" href="/" aria-label="callpath">
        <Icon name="logo" />
        <span>callpath</span>
      </a>
      <nav aria-label="Pages">
        {NAVIGATION.map((item) => (
          <a key={item.path} href={item.path} aria-current={item.pages.includes(here) ? "page" : undefined}>
            {item.label}
          </a>
        ))}
      </nav>
      <div class="tools">
        <Connection />
        <button
          type="button"
          class="icon"
          onClick={nextTheme}
          aria-label={isDark.value ? "Light colours" : "Dark colours"}
        >
          <Icon name={isDark.value ? "sun" : "moon"} />
        </button>
        {hasLogin.value ? (
          <button
            type="button"
            class="button quiet small"
            onClick={async () => {
              await api.logout();
              location.reload();
            }}
          >
            Log out
          </button>
        ) : null}
        <button type="button" class="icon keys-button" onClick={() => (helpOpen.value = true)} aria-label="Keys">
          <Icon name="help" />
        </button>
      </div>
    </header>
  );
}

const CONNECTION_WORDS = { live: "Live", connecting: "Connecting", lost: "Not connected" };

function Connection() {
  return (
    <span class={`connection ${connection.value}`} role="status">
      <i aria-hidden="true" />
      <span>{CONNECTION_WORDS[connection.value]}</span>
    </span>
  );
}

let first = true;

function Page({ route }: { route: Route }) {
  const key = JSON.stringify(route);
  useEffect(() => {
    // A screen reader goes on where the new page begins.
    if (!first && key) document.getElementById("main")?.focus({ preventScroll: true });
    first = false;
  }, [key]);
  switch (route.page) {
    case "calls":
      return <Calls />;
    case "call":
      return <Later key={route.session} load={LAZY.call} session={route.session} />;
    case "unknown":
      return (
        <Empty title="There is no such page">
          <a class="button" href="/">
            All calls
          </a>
        </Empty>
      );
    default:
      return <Later key={route.page} load={LAZY[route.page]} />;
  }
}

function Later<P extends object>({ load, ...rest }: { load: () => Promise<ComponentType<P>> } & P) {
  const [Found, setFound] = useState<ComponentType<P> | null>(null);
  const [failed, setFailed] = useState<Error | null>(null);
  useEffect(() => {
    load().then((component) => setFound(() => component), setFailed);
  }, [load]);
  if (failed) {
    return <Trouble error={failed} again={() => location.reload()} />;
  }
  return Found ? <Found {...(rest as unknown as P)} /> : <Loading />;
}
