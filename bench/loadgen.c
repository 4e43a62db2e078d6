// loadgen.c - paced load generator for servers that terminate Telnyx media
// streaming WebSockets.  One thread, epoll, no dependencies.
//
//   cc -O2 -o loadgen loadgen.c
//   ./loadgen --url ws://127.0.0.1:8000/media --calls 100 --seconds 10
//   ./loadgen --url ws://127.0.0.1:8000 --targets FILE --calls 100
//
// FILE has one line a call, its path and the headers of its upgrade request:
//   /api/calls/SESSION/audio x-telnyx-streaming-auth-token: TOKEN
//
// Opens N calls, sends "connected" and "start" on each, then one 20 ms PCMU
// frame per call every 20 ms on a fixed open-loop schedule (phases of the calls
// spread evenly over the 20 ms).  A late server never slows the sender down.
//
// --match marker   every payload carries (call, frame) in its first 16 bytes and
//                  a known tail; a reply is matched by that marker, checked
//                  byte for byte, and may hold any whole number of 20 ms blocks.
// --match order    reply bytes are counted per call (160 per 20 ms block), the
//                  content is not looked at.  For servers that resample and may
//                  answer late or in bursts: age is then the real delay of the
//                  audio through the server, lag_ms its smallest backlog, and a
//                  frame is lost when that backlog grows from the first half of
//                  the window to the second.
//
// rtt      marker: reply received - send time of the newest 20 ms block in it
//          (the frame that triggered it).  order: reply received - send time of
//          the last frame sent on that call (below 20 ms by construction).
// age      reply received - send time, for every 20 ms block in the reply (a
//          server that answers in 40 ms chunks has 20 ms more on every other).
// late     how late the generator itself was against its schedule.
//
// Prints WINDOW_BEGIN and WINDOW_END (flushed) around the measured window, so
// that a wrapper can sample the server's CPU then, and one JSON object last.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 160
#define PERIOD 20000000LL
#define HMAX 1000000  // us
typedef struct { uint32_t *b; uint64_t n; int64_t max; } hist;
static void hinit(hist *h) { h->b = calloc(HMAX + 1, 4); h->n = 0; h->max = 0; }
static void hadd(hist *h, int64_t ns) {
  if (ns < 0) ns = 0;
  int64_t us = ns / 1000;
  h->b[us > HMAX ? HMAX : us]++; h->n++;
  if (ns > h->max) h->max = ns;
}
static double hq(hist *h, double q) {  // ms
  uint64_t want = (uint64_t)(q * h->n), c = 0;
  if (!h->n) return -1;
  for (int i = 0; i <= HMAX; i++) { c += h->b[i]; if (c > want) return i == HMAX ? h->max / 1e6 : i / 1000.0; }
  return h->max / 1e6;
}

typedef struct {
  int fd, open, dead;
  char session[96];                  // names the call in its start frame
  uint8_t *in; int inlen, incap;
  uint8_t *out; int outlen, outcap;
  uint8_t part[BLOCK]; int npart;    // partial block in marker mode
  int64_t *ts;                       // send time of frame k
  uint8_t *got;
  int sent, next;                    // frames sent; next seq expected back
  uint64_t rbytes; int rblocks, lag; // order mode
  int64_t *rt; int *rb, *rs; int nrep, caprep; // order mode, at each reply: time, blocks back, frames sent
  uint64_t msgs;
} conn;

static conn *C; static int N = 50, ep, maxf; static double secs = 10, warm = 3, drain = 1.5;
static int order_mode; static int64_t wbeg, wend;
static hist Hrtt, Hage, Hlate;
static uint64_t corrupt, reorder, dupes, other, replies, blocked, closed_early, replies_win;
static char stream_id[64]; static uint8_t tail[BLOCK]; static char tail64[256];
static uint64_t rng = 88172645463325252ULL;
static const char B64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static int8_t D64[256];

static int64_t now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static void die(const char *m) { fprintf(stderr, "loadgen: %s (%s)\n", m, strerror(errno)); exit(2); }
static int enc64(const uint8_t *s, int n, char *o) {
  char *p = o; int i = 0;
  for (; i + 2 < n; i += 3) { uint32_t v = s[i] << 16 | s[i+1] << 8 | s[i+2]; *p++ = B64[v>>18]; *p++ = B64[v>>12&63]; *p++ = B64[v>>6&63]; *p++ = B64[v&63]; }
  if (i < n) { uint32_t v = s[i] << 16 | (i + 1 < n ? s[i+1] << 8 : 0); *p++ = B64[v>>18]; *p++ = B64[v>>12&63]; *p++ = i + 1 < n ? B64[v>>6&63] : '='; *p++ = '='; }
  return p - o;
}
static int dec64(const uint8_t *s, int n, uint8_t *o) {
  int k = 0; uint32_t v = 0; int bits = 0;
  for (int i = 0; i < n; i++) { int d = D64[s[i]]; if (d < 0) { if (s[i] == '=') break; if (s[i] == '\\') continue; return -1; } v = v << 6 | d; bits += 6; if (bits >= 8) { bits -= 8; o[k++] = v >> bits; } }
  return k;
}

static void flush_out(conn *c) {
  while (c->outlen) {
    ssize_t r = send(c->fd, c->out, c->outlen, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (r <= 0) { if (errno == EAGAIN) return; c->dead = 1; return; }
    memmove(c->out, c->out + r, c->outlen - r); c->outlen -= r;
  }
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void raw_send(conn *c, const uint8_t *d, int n) {
  if (c->dead) return;
  ssize_t r = 0;
  if (!c->outlen) { r = send(c->fd, d, n, MSG_DONTWAIT | MSG_NOSIGNAL); if (r < 0) { if (errno != EAGAIN) { c->dead = 1; return; } r = 0; } if (r == n) return; }
  blocked++;
  if (c->outlen + n - r > c->outcap) { c->outcap = (c->outlen + n) * 2 + 4096; c->out = realloc(c->out, c->outcap); }
  memcpy(c->out + c->outlen, d + r, n - r); c->outlen += n - r;
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void ws_send(conn *c, int op, const char *p, int n) {
  uint8_t f[2048]; int h;
  f[0] = 0x80 | op;
  if (n < 126) { f[1] = 0x80 | n; h = 2; } else { f[1] = 0x80 | 126; f[2] = n >> 8; f[3] = n; h = 4; }
  rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17;
  uint32_t key = rng; memcpy(f + h, &key, 4); h += 4;
  uint64_t k8 = (uint64_t)key << 32 | key; int i = 0;
  for (; i + 8 <= n; i += 8) { uint64_t v; memcpy(&v, p + i, 8); v ^= k8; memcpy(f + h + i, &v, 8); }
  for (; i < n; i++) f[h + i] = p[i] ^ ((uint8_t *)&key)[i & 3];
  raw_send(c, f, h + n);
}
static void marker(uint8_t *m, int call, int seq) {
  for (int i = 0; i < 8; i++) m[i] = 'A' + (call >> (28 - 4 * i) & 15);
  for (int i = 0; i < 8; i++) m[8 + i] = 'A' + (seq >> (28 - 4 * i) & 15);
}
static void send_media(conn *c, int ci) {
  char b[1024], m64[32]; uint8_t m[18]; int k = c->sent;
  if (k >= maxf) return;
  marker(m, ci, k); m[16] = tail[16]; m[17] = tail[17];
  int n64 = enc64(m, 18, m64);  // 24 chars; the other 142 bytes are fixed
  int n = snprintf(b, sizeof b, "{\"event\":\"media\",\"sequence_number\":\"%d\",\"media\":{\"track\":\"inbound\",\"chunk\":\"%d\",\"timestamp\":\"%d\",\"payload\":\"%.*s%s\"},\"stream_id\":\"%s\"}",
                   k + 2, k + 1, k * 20, n64, m64, tail64, stream_id);
  c->ts[k] = now_ns(); c->sent = k + 1;
  ws_send(c, 1, b, n);
}
static int inwin(int64_t t) { return t >= wbeg && t < wend; }

static void on_block(conn *c, int ci, const uint8_t *p, int64_t t, int newest) {
  int call = 0, seq = 0;
  for (int i = 0; i < 8; i++) { int d = p[i] - 'A'; if (d < 0 || d > 15) { corrupt++; return; } call = call << 4 | d; }
  for (int i = 8; i < 16; i++) { int d = p[i] - 'A'; if (d < 0 || d > 15) { corrupt++; return; } seq = seq << 4 | d; }
  if (call != ci || seq < 0 || seq >= c->sent || memcmp(p + 16, tail + 16, BLOCK - 16)) { corrupt++; return; }
  if (c->got[seq]) { dupes++; return; }
  c->got[seq] = 1;
  if (seq < c->next) reorder++; else c->next = seq + 1;
  if (inwin(c->ts[seq])) { hadd(&Hage, t - c->ts[seq]); if (newest) hadd(&Hrtt, t - c->ts[seq]); }
}
static void on_text(conn *c, const uint8_t *p, int n, int64_t t) {
  int ci = c - C;
  const uint8_t *q = memmem(p, n, "\"payload\"", 9);
  if (!q) { other++; return; }
  q += 9; while (q < p + n && (*q == ' ' || *q == ':')) q++;
  if (q >= p + n || *q != '"') { other++; return; }
  q++; const uint8_t *e = memchr(q, '"', p + n - q);
  if (!e) { other++; return; }
  static uint8_t buf[65536]; if (e - q > 80000) { corrupt++; return; }
  int k = dec64(q, e - q, buf); if (k < 0) { corrupt++; return; }
  replies++; c->msgs++; if (inwin(t)) replies_win++;
  if (order_mode) {
    c->rbytes += k; int nb = c->rbytes / BLOCK;
    if (nb == c->rblocks) return;
    c->rblocks = nb;
    if (c->nrep == c->caprep) { c->caprep = c->caprep ? c->caprep * 2 : 256; c->rs = realloc(c->rs, 4 * c->caprep); c->rt = realloc(c->rt, 8 * c->caprep); c->rb = realloc(c->rb, 4 * c->caprep); }
    c->rt[c->nrep] = t; c->rs[c->nrep] = c->sent; c->rb[c->nrep++] = nb;
    int lag = c->sent - nb; if (c->lag < 0 || lag < c->lag) c->lag = lag;
    return;
  }
  int off = 0;
  if (c->npart) { int need = BLOCK - c->npart, take = k < need ? k : need; memcpy(c->part + c->npart, buf, take); c->npart += take; off = take; if (c->npart == BLOCK) { on_block(c, ci, c->part, t, k - off < BLOCK); c->npart = 0; } }
  while (k - off >= BLOCK) { on_block(c, ci, buf + off, t, k - off < 2 * BLOCK); off += BLOCK; }
  if (k > off) { memcpy(c->part, buf + off, k - off); c->npart = k - off; }
}
static int stopping;
static void on_data(conn *c) {
  for (;;) {
    if (c->incap - c->inlen < 8192) { c->incap = c->incap * 2 + 16384; c->in = realloc(c->in, c->incap); }
    int room = c->incap - c->inlen;
    ssize_t r = recv(c->fd, c->in + c->inlen, room, MSG_DONTWAIT);
    if (r < 0) { if (errno == EAGAIN) return; r = 0; }
    if (r == 0) { if (!stopping && !c->dead) closed_early++; c->dead = 1; epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, 0); return; }
    int64_t t = now_ns(); c->inlen += r;
    int o = 0;
    if (!c->open) {
      uint8_t *e = memmem(c->in, c->inlen, "\r\n\r\n", 4);
      if (!e) { if (r < room) return; continue; }
      if (memcmp(c->in, "HTTP/1.1 101", 12)) { fprintf(stderr, "loadgen: upgrade refused: %.*s\n", 60, c->in); exit(3); }
      c->open = 1; o = e + 4 - c->in;
    }
    while (c->inlen - o >= 2) {
      uint8_t *f = c->in + o; int op = f[0] & 15, h = 2; int64_t n = f[1] & 127;
      if (n == 126) { if (c->inlen - o < 4) break; n = f[2] << 8 | f[3]; h = 4; }
      else if (n == 127) { if (c->inlen - o < 10) break; n = 0; for (int i = 2; i < 10; i++) n = n << 8 | f[i]; h = 10; }
      if (c->inlen - o < h + n) break;
      if (op == 1 || op == 2) on_text(c, f + h, n, t);
      else if (op == 9) ws_send(c, 10, (char *)f + h, n);
      else if (op == 8) { if (!stopping) closed_early++; c->dead = 1; }
      o += h + n;
    }
    if (o) { memmove(c->in, c->in + o, c->inlen - o); c->inlen -= o; }
    if (r < room) return;
  }
}
static void poll_once(int64_t until) {
  struct epoll_event ev[256]; int64_t d = until - now_ns(); if (d < 0) d = 0;
  struct timespec ts = {d / 1000000000LL, d % 1000000000LL};
  int n = epoll_pwait2(ep, ev, 256, &ts, 0);
  for (int i = 0; i < n; i++) { conn *c = ev[i].data.ptr; if (ev[i].events & EPOLLOUT) flush_out(c); if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_data(c); }
}

int main(int argc, char **argv) {
  const char *url = "ws://127.0.0.1:8000/media", *targets = 0; char hdrs[2048] = ""; int batch = 20;
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(a, "--url")) url = v, i++;
    else if (!strcmp(a, "--calls")) N = atoi(v), i++;
    else if (!strcmp(a, "--seconds")) secs = atof(v), i++;
    else if (!strcmp(a, "--warmup")) warm = atof(v), i++;
    else if (!strcmp(a, "--drain")) drain = atof(v), i++;
    else if (!strcmp(a, "--connect-batch")) batch = atoi(v), i++;
    else if (!strcmp(a, "--match")) order_mode = !strcmp(v, "order"), i++;
    else if (!strcmp(a, "--targets")) targets = v, i++;
    else if (!strcmp(a, "--header")) { strncat(hdrs, v, 1000); strcat(hdrs, "\r\n"); i++; }
    else { fprintf(stderr, "usage: loadgen --url ws://127.0.0.1:PORT/PATH --calls N --seconds S [--warmup S] [--drain S] [--match marker|order] [--header 'K: V'] [--targets FILE] [--connect-batch K]\n"); return 2; }
  }
  char host[64], path[512] = "/"; int port = 80;
  if (sscanf(url, "ws://%63[^:/]:%d%511s", host, &port, path) < 2) die("bad --url");
  if (strncmp(host, "127.", 4)) die("only 127.x addresses are allowed as a target");
  FILE *tf = targets ? fopen(targets, "r") : 0; if (targets && !tf) die("--targets");
  for (int i = 0; i < 256; i++) D64[i] = -1;
  for (int i = 0; i < 64; i++) D64[(uint8_t)B64[i]] = i;
  snprintf(stream_id, sizeof stream_id, "32de0dea-53cb-4b21-89a4-9e1819c043bc");
  uint32_t s = 12345;  // a noisy speech-like tail; 0x7f (negative zero) does not survive a PCM16 round trip
  for (int i = 0; i < BLOCK; i++) { s = s * 1664525 + 1013904223; tail[i] = 0x90 + (s >> 24) % 0x40; if (s & 0x800) tail[i] ^= 0x80; if (tail[i] == 0x7f) tail[i] = 0xff; }
  tail64[enc64(tail + 18, BLOCK - 18, tail64)] = 0;
  prctl(PR_SET_TIMERSLACK, 1000); struct rlimit rl; getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl);
  maxf = (int)((secs + warm) * 50) + 20;
  hinit(&Hrtt); hinit(&Hage); hinit(&Hlate);
  ep = epoll_create1(0); C = calloc(N, sizeof *C);
  struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)}; inet_pton(AF_INET, host, &sa.sin_addr);
  int64_t c0 = now_ns();
  for (int i = 0; i < N;) {
    int j0 = i;
    for (; i < N && i < j0 + batch; i++) {
      conn *c = &C[i]; c->ts = calloc(maxf, 8); c->got = calloc(maxf, 1); c->lag = -1;
      c->fd = socket(AF_INET, SOCK_STREAM, 0); int one = 1; setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      if (connect(c->fd, (void *)&sa, sizeof sa)) die("connect");
      fcntl(c->fd, F_SETFL, O_NONBLOCK);
      struct epoll_event e = {.events = EPOLLIN, .data.ptr = c}; epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
      char line[2048];
      if (tf) { if (!fgets(line, sizeof line, tf)) die("--targets has fewer lines than --calls"); line[strcspn(line, "\n")] = 0; char *sp = strchr(line, ' '); *hdrs = 0; if (sp) { *sp = 0; snprintf(hdrs, sizeof hdrs, "%s\r\n", sp + 1); } snprintf(path, sizeof path, "%.511s", line); }
      // The call of its path, as Telnyx's start frames: callpath refuses one that names another call.
      const char *name = strstr(path, "/calls/");
      if (name) snprintf(c->session, sizeof c->session, "%.*s", (int)strcspn(name + 7, "/"), name + 7);
      else snprintf(c->session, sizeof c->session, "ff55a038-6f5d-11ef-9692-02420aeffb1f-%d", (int)(c - C));
      char q[4096]; int n = snprintf(q, sizeof q, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, host, port, hdrs);
      raw_send(c, (uint8_t *)q, n);
    }
    int64_t lim = now_ns() + 20000000000LL;
    for (;;) { int w = 0; for (int k = j0; k < i; k++) { if (C[k].dead) die("closed during handshake"); w += !C[k].open; } if (!w) break; if (now_ns() > lim) die("handshake timeout"); poll_once(now_ns() + 100000000); }
    for (int k = j0; k < i; k++) {
      char b[1024];
      ws_send(&C[k], 1, b, snprintf(b, sizeof b, "{\"event\":\"connected\",\"version\":\"1.0.0\"}"));
      ws_send(&C[k], 1, b, snprintf(b, sizeof b, "{\"event\":\"start\",\"sequence_number\":\"1\",\"start\":{\"user_id\":\"3e6f995f-85f7-4705-9741-53b116d28237\",\"call_control_id\":\"v2:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ-%d\",\"call_session_id\":\"%s\",\"from\":\"+13122010094\",\"to\":\"+13122123456\",\"tags\":[],\"client_state\":\"aGF2ZSBhIG5pY2UgZGF5ID1d\",\"media_format\":{\"encoding\":\"PCMU\",\"sample_rate\":8000,\"channels\":1}},\"stream_id\":\"%s\"}", k, C[k].session, stream_id));
    }
  }
  double conn_s = (now_ns() - c0) / 1e9;
  { int64_t w = now_ns() + 300000000; while (now_ns() < w) poll_once(w); }
  int64_t t0 = now_ns() + 50000000; wbeg = t0 + warm * 1e9; wend = wbeg + secs * 1e9;
  int64_t k = 0; int state = 0; struct rusage r0 = {0}, r1 = {0};
  for (;;) {
    int64_t due = t0 + k / N * PERIOD + (k % N) * PERIOD / N, t = now_ns(); int burst = 0;
    if (state == 0 && t >= wbeg) { state = 1; getrusage(RUSAGE_SELF, &r0); puts("WINDOW_BEGIN"); fflush(stdout); }
    if (t >= wend) break;
    while (due <= t && burst++ < 64) {
      conn *c = &C[k % N]; if (inwin(due)) hadd(&Hlate, t - due);
      if (!c->dead) send_media(c, k % N);
      k++; due = t0 + k / N * PERIOD + (k % N) * PERIOD / N; t = now_ns();
    }
    poll_once(due);
  }
  getrusage(RUSAGE_SELF, &r1); puts("WINDOW_END"); fflush(stdout);
  int64_t dl = now_ns() + drain * 1e9;
  uint64_t sent = 0, sentw = 0, back = 0;
  while (now_ns() < dl) {
    poll_once(now_ns() + 20000000);
    int left = 0; for (int i = 0; i < N; i++) left += order_mode ? C[i].rblocks < C[i].sent - C[i].lag : C[i].next < C[i].sent;
    if (!left && now_ns() > wend + 300000000) break;  // the wrapper reads the server's memory while the calls are up
  }
  double lagsum = 0; uint64_t lost = 0;
  for (int i = 0; i < N; i++) {
    conn *c = &C[i]; sent += c->sent; for (int j = 0; j < c->sent; j++) sentw += inwin(c->ts[j]);
    if (order_mode) {
      back += c->rblocks; int lag = c->lag < 0 ? 0 : c->lag; lagsum += lag;
      // lost: the smallest backlog (frames sent, not yet answered) of the second half against the first half's
      int m1 = 1 << 30, m2 = 1 << 30, prev = 0;
      for (int j = 0; j < c->nrep; j++) {
        int64_t t = c->rt[j]; int g = c->rs[j], back1 = g - c->rb[j];
        if (t < (wbeg + wend) / 2) { if (back1 < m1) m1 = back1; } else if (back1 < m2) m2 = back1;
        for (int b = prev; b < c->rb[j]; b++) if (inwin(c->ts[b])) hadd(&Hage, t - c->ts[b]);
        if (g && inwin(c->ts[g - 1])) hadd(&Hrtt, t - c->ts[g - 1]);
        prev = c->rb[j];
      }
      if (!c->nrep) lost += c->sent; else if (m2 > m1 && m1 < 1 << 30) lost += (m2 == 1 << 30 ? c->sent - c->rblocks : m2) - m1;
    } else { uint64_t g = 0; for (int j = 0; j < c->sent; j++) g += c->got[j]; back += g; lost += c->sent - g; }
  }
  stopping = 1;
  for (int i = 0; i < N; i++) { char b[512]; ws_send(&C[i], 1, b, snprintf(b, sizeof b, "{\"event\":\"stop\",\"sequence_number\":\"%d\",\"stop\":{\"user_id\":\"3e6f995f-85f7-4705-9741-53b116d28237\",\"call_control_id\":\"v2:x\"},\"stream_id\":\"%s\"}", C[i].sent + 2, stream_id)); ws_send(&C[i], 8, "\x03\xe8", 2); }
  { int64_t w = now_ns() + 300000000; while (now_ns() < w) poll_once(w); }
#define TV(x) (x.tv_sec + x.tv_usec / 1e6)
  double cpu = TV(r1.ru_utime) + TV(r1.ru_stime) - TV(r0.ru_utime) - TV(r0.ru_stime);
  printf("{\"calls\":%d,\"seconds\":%.3f,\"sent\":%lu,\"sent_window\":%lu,\"blocks_back\":%lu,\"replies\":%lu,\"replies_window\":%lu,\"lost\":%lu,\"reorder\":%lu,\"dup\":%lu,\"corrupt\":%lu,\"other\":%lu,\"closed_early\":%lu,\"blocked_writes\":%lu,"
         "\"rtt_p50\":%.3f,\"rtt_p90\":%.3f,\"rtt_p99\":%.3f,\"rtt_p999\":%.3f,\"rtt_max\":%.3f,\"age_p50\":%.3f,\"age_p99\":%.3f,\"age_max\":%.3f,\"lag_ms\":%.1f,\"late_p50\":%.3f,\"late_p99\":%.3f,\"late_max\":%.3f,\"gen_cpu\":%.3f,\"connect_s\":%.3f}\n",
         N, secs, sent, sentw, back, replies, replies_win, lost, reorder, dupes, corrupt, other, closed_early, blocked, hq(&Hrtt, .5), hq(&Hrtt, .9), hq(&Hrtt, .99), hq(&Hrtt, .999), Hrtt.max / 1e6, hq(&Hage, .5), hq(&Hage, .99), Hage.max / 1e6, lagsum / N * 20, hq(&Hlate, .5), hq(&Hlate, .99), Hlate.max / 1e6, cpu / secs, conn_s);
  return 0;
}
