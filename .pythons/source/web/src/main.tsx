import { render } from "preact";
import { App } from "./app";
import { listenToKeys } from "./keys";
import { followLinks } from "./router";
import "./style.css";
import { keepTheme } from "./theme";

keepTheme();
followLinks();
listenToKeys();
render(<App />, document.getElementById("app") as HTMLElement);
