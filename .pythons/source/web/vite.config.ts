import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

// The bundle is committed and shipped in the wheel: `pip install` needs no Node. `make web` builds it.
export default defineConfig({
  plugins: [preact({ prefreshEnabled: false })],
  build: {
    outDir: "../src/callpath/dashboard/static",
    emptyOutDir: true,
    assetsInlineLimit: 0, // a data: URL would break the content security policy
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8000", ws: true } } },
});
