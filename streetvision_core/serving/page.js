"use strict";
const STAGES = { classifier: "Classifier", detectors: "Object detectors", vlm: "Vision-language model", ocr: "Sign reading" };
// Okabe-Ito: told apart by colour-blind people, too.
const COLOURS = { cone: "#E69F00", drum: "#D55E00", barrier: "#CC79A7", sign: "#F0E442", worker: "#009E73", vehicle: "#56B4E9" };
const SHOWN_SCORE = 0.4, AT_ONCE = 2, LOOK_SECONDS = 2, LONG_LOOKS = 60, MOST_TRIES = 30, GATEWAY_TRIES = 5;
// What a named error of the server means to the person who sent the file.
const PLAIN = {
  ImageBrokenError: "The file is damaged or not complete. Save, copy or send it again.",
  ImageFormatError: "This is not a kind of picture that the server reads.",
  ImageTooLargeError: "The picture is too large for this server. Send a smaller one.",
  VideoBrokenError: "The video is damaged or not complete. Record, copy or send it again.",
  VideoFormatError: "This is not a kind of video that the server reads.",
  VideoTooLargeError: "The video is too large or too long for this server. Cut it or make it smaller.",
  MissingExtraError: "This server was installed without what reads videos. Whoever runs it can add that.",
  AccessError: "This server answers only with an API key. Type it above; then it goes on by itself.",
  RequestTimeoutError: "The file took too long to arrive. Try again over a faster line, or send a smaller one.",
  DecodeTimeoutError: "The file takes too long to decode. Save it again with another program and send that.",
  DeadlineError: "The server had no time for it: too many were asking. Try again in a moment.",
  EngineError: "The model failed on this file.",
  ModelServerError: "The part of the server that looks at pictures did not answer. Try again in a moment.",
  CrossSiteError: "This address is not one under which the server expects to be asked. Whoever runs it can allow it.",
};
const $ = id => document.getElementById(id);
const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
const items = [];
let shown = null, present = null, working = 0, looking = null, paint = 0;

/* ---- whether the server is ready ---- */

// Resolves once the server is ready; until then it says why not, and asks again by itself.
function ready() {
  looking ??= look().finally(() => { looking = null; });
  return looking;
}

async function look() {
  for (let looks = 0; ; looks += 1) {
    const waiting = items.some(item => item.state === "waiting") ? " What you added is answered then." : " You can add photos already.";
    try {
      const response = await fetch("health/ready", { cache: "no-store" }), said = await read(response);
      if (response.ok && said) { present = said.stages?.length ? said.stages : null; notice(""); return; }
      const why = looks < LONG_LOOKS || !said ? "the very first start takes some minutes" : `it says: ${said.got}; do: ${said.do}`;
      notice(said ? `The server is starting (${why}). This page asks again by itself.${waiting}`
        : `A proxy answers, but the server behind it does not yet (status ${response.status}). This page asks again by itself.${waiting}`);
    } catch { notice(`The server does not answer. This page asks again by itself.${waiting}`); }
    await pause(LOOK_SECONDS);
  }
}

function notice(text) { $("notice").textContent = text; $("notice").hidden = !text; }

async function read(response) { try { return await response.json(); } catch { return null; } }

/* ---- files, a few at a time ---- */

function add(files) {
  const added = Array.from(files, file => ({ file, name: file.name || "pasted picture", video: file.type.startsWith("video/"), state: "waiting", words: "", answer: null, said: null }));
  if (!added.length) return;
  items.push(...added);
  for (const item of added) listItem(item);
  $("list").hidden = items.length < 2;
  show(added[0]);
  go();
}

function go() {
  while (working < AT_ONCE) {
    const item = items.find(i => i.state === "waiting" && !i.taken);
    if (!item) return;
    item.taken = true; working += 1;
    work(item).finally(() => { item.taken = false; working -= 1; go(); });
  }
}

async function work(item) {
  for (let tries = 0; ; tries += 1) {
    await ready();
    update(item, "asking", item.video ? "Watching the video…" : "Looking…");
    const wait = await ask(item, tries);
    if (!wait) return;
    update(item, "waiting", wait.words);
    await pause(wait.seconds);
  }
}

// Asks once. Returns nothing when the item is settled, else why and for how long to wait.
async function ask(item, tries) {
  const headers = { "content-type": item.file.type || "application/octet-stream" };
  if ($("key").value) headers["x-api-key"] = $("key").value;
  let response, said;
  try {
    response = await fetch(item.video ? "v1/predict/video" : "v1/predict?evidence=true", { method: "POST", body: item.file, headers });
    said = await read(response);
  } catch (error) { return broken(item, tries, error); }
  item.said = said;
  if (response.ok && said) { item.answer = said; settle(item, "done", ""); return null; }
  if (!said) return proxied(item, tries, response.status);
  if (response.status === 401) { $("secret").hidden = false; settle(item, "locked", PLAIN.AccessError); return null; }
  if (response.status === 415 && tries < 1 && other(item, said)) return { words: "", seconds: 0 };
  const seconds = Number(response.headers.get("retry-after")) || LOOK_SECONDS;
  if (response.status === 429 && tries < MOST_TRIES) return { words: `Many are asking; this one is sent again in ${seconds} s.`, seconds };
  if (said.error === "NotReadyError" && tries < MOST_TRIES) return { words: "The server is starting; this one is sent again.", seconds };
  settle(item, "failed", PLAIN[said.error] || `The server refused it: ${said.got}. Allowed: ${said.allowed}.`);
  return null;
}

// The browser did not know what the file is; the server does, and names the right path.
function other(item, said) {
  const video = /\/v1\/predict\/video$/.test(said.do), picture = /\/v1\/predict$/.test(said.do);
  if (item.video ? !picture : !video) return false;
  item.video = video;
  if (item === shown) draw(item);
  return true;
}

// The connection broke: the server has gone, or something on the way does not take a file of this size.
async function broken(item, tries, error) {
  let alive = false;
  try { alive = (await fetch("health/live", { cache: "no-store" })).ok; } catch { /* it has gone */ }
  if (!alive && tries < MOST_TRIES) return { words: "The server does not answer; this one is sent again when it does.", seconds: 1 };
  if (tries < 1) return { words: "The connection broke; once more.", seconds: 1 };
  settle(item, "failed", `The connection broke while the file was sent (${size(item.file)}; ${error.message}). The server, or a proxy in front of it, may not take files of that size.`);
  return null;
}

// An answer that is not ours: it comes from a proxy such as nginx.
function proxied(item, tries, status) {
  if (status >= 502 && status <= 504 && tries < GATEWAY_TRIES) return { words: "A proxy answers, but the server behind it does not; this one is sent again.", seconds: LOOK_SECONDS };
  settle(item, "failed", status === 413
    ? `The file (${size(item.file)}) is larger than a proxy in front of this server lets through. Send a smaller one, or ask whoever runs the server to raise the proxy's limit (nginx: client_max_body_size).`
    : `Something between this page and the server answered instead of it, with status ${status}.`);
  return null;
}

function size(file) { return file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`; }

function update(item, state, words) { item.state = state; item.words = words; mark(item); if (item === shown) tell(item); }
function settle(item, state, words) { update(item, state, words); if (item === shown && item.answer) draw(item); }

/* ---- the list ---- */

function listItem(item) {
  const line = document.createElement("li"), button = document.createElement("button"), name = document.createElement("span"), state = document.createElement("span");
  const thumb = document.createElement("canvas");
  thumb.width = 240; thumb.height = 160;
  button.type = "button"; name.textContent = item.name; name.title = item.name; state.className = "state";
  button.append(thumb, name, state); line.append(button); $("list").append(line);
  button.addEventListener("click", () => show(item));
  item.button = button; item.badge = state;
  mark(item);
  if (item.video) label(thumb, "video"); else thumbnail(item.file, thumb);
}

async function thumbnail(file, canvas) {
  try {
    const picture = await createImageBitmap(file), scale = Math.max(canvas.width / picture.width, canvas.height / picture.height);
    const width = picture.width * scale, height = picture.height * scale;
    canvas.getContext("2d").drawImage(picture, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
    picture.close();
  } catch { label(canvas, "no preview"); }  // the server may read it all the same
}

function label(canvas, words) {
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--soft");
  pen.font = "24px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle";
  pen.fillText(words, canvas.width / 2, canvas.height / 2);
}

function mark(item) {
  const [text, kind] = verdict(item);
  item.badge.textContent = text; item.badge.className = `state ${kind}`;
}

/* ---- one of them, shown large ---- */

function verdict(item) {
  const answer = item.answer;
  if (!answer) return [{ waiting: "Waiting", asking: item.words, locked: "Needs a key", failed: "No answer" }[item.state], ""];
  if (answer.unsure) return [answer.roadwork ? "Unsure, perhaps road work" : "Unsure, perhaps no road work", "unsure"];
  return answer.roadwork ? ["Road work", "yes"] : ["No road work", "no"];
}

function show(item) {
  shown = item;
  for (const other of items) other.button.setAttribute("aria-current", String(other === item));
  $("name").textContent = item.name; $("name").hidden = false;
  tell(item);
  draw(item);
}

function tell(item) {
  const answer = item.answer, [text, kind] = verdict(item);
  $("answer").textContent = text; $("answer").className = kind;
  $("again").hidden = item.state !== "failed";
  $("details").hidden = !answer;
  $("raw").hidden = !item.said; $("raw").open = false; $("json").textContent = item.said ? JSON.stringify(item.said, null, 2) : "";
  $("words").textContent = answer ? sentence(item) : item.words || "It is answered as soon as the server has time for it.";
  if (!answer) return;
  $("fill").style.width = `${100 * answer.p_roadwork}%`; $("fill").className = kind;
  for (const id of ["line", "stretches"]) $(id).hidden = !item.video;
  $("stages").hidden = item.video;
  if (item.video) tellVideo(item); else tellPicture(answer);
}

function sentence(item) {
  const answer = item.answer;
  if (item.video) {
    const n = answer.segments.length;
    const where = n ? `${n === 1 ? "One stretch shows" : `${n} stretches show`} road work.` : "No stretch shows road work.";
    return answer.unsure ? `${where} The score is close to one half: look for yourself.` : where;
  }
  const how = answer.certified ? "certain enough to decide" : "the last stage to look, so it decided";
  const who = `${STAGES[answer.exit_stage]}: ${how}.`;
  return answer.unsure ? `The probability is close to one half: look for yourself. The last stage to look was: ${STAGES[answer.exit_stage]}.` : who;
}

function tellPicture(answer) {
  $("stages").replaceChildren(...Object.keys(STAGES).map(name => stageLine(name, answer)));
  const text = answer.evidence.flatMap(e => e.text).join(" · ");
  facts({ "Probability of road work": percent(answer.p_roadwork), "Time": `${Math.round(answer.seconds * 1000)} ms${answer.cached ? " (remembered from before)" : ""}`,
    "Picture": `${answer.width} × ${answer.height} pixels`, "Text read": text || "none", "Model": `${answer.model_version}, policy ${answer.policy}` });
}

function tellVideo(item) {
  const answer = item.answer;
  $("stretches").replaceChildren(...answer.segments.map(part => {
    const line = document.createElement("li"), button = document.createElement("button");
    button.type = "button"; button.textContent = `${clock(part.start_seconds)} to ${clock(part.end_seconds)}`;
    button.addEventListener("click", () => seek(part.peak_seconds));
    line.append(button, `, most at ${clock(part.peak_seconds)} (${percent(part.p_roadwork)})`);
    return line;
  }));
  facts({ "Highest score": `${percent(answer.p_roadwork)} (a score, not a frequency)`, "Length": `${answer.seconds.toFixed(1)} s`,
    "Frames looked at": String(answer.timeline.length), "Time": `${answer.compute_seconds.toFixed(1)} s`,
    "Notes": answer.notes.join(" · ") || "none", "Model": `${answer.model_version}, policy ${answer.policy}` });
  timeline(answer);
}

function percent(p) { return p > 0.9995 || p < 0.0005 ? p.toPrecision(3) : p.toFixed(3); }
function clock(seconds) { return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`; }
function seek(seconds) { $("video").currentTime = seconds; $("video").pause(); }

function stageLine(name, answer) {
  const seen = answer.evidence.find(e => e.stage === name), decided = answer.exit_stage === name;
  const names = Object.keys(STAGES), later = names.indexOf(name) > names.indexOf(answer.exit_stage);
  const missing = present && !present.includes(name);
  const line = document.createElement("li");
  line.className = decided ? "decided" : seen ? "ran" : "skipped";
  const how = seen ? ` – ${Math.round(seen.seconds * 1000)} ms` : missing ? " – no model for this stage" : later ? " – not needed" : " – saw nothing it could use";
  line.textContent = STAGES[name] + how + (decided ? " – decided" : "");
  return line;
}

function facts(values) {
  $("facts").replaceChildren(...Object.entries(values).flatMap(([name, value]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value;
    return [dt, dd];
  }));
}

/* ---- pictures ---- */

async function draw(item) {
  const mine = ++paint, canvas = $("picture"), video = $("video");
  delete canvas.dataset.boxes;
  const address = item.video ? (item.address ??= URL.createObjectURL(item.file)) : "";
  if (item.video && video.getAttribute("src") !== address) video.src = address;
  if (!item.video && video.getAttribute("src")) { video.pause(); video.removeAttribute("src"); }
  video.hidden = !item.video;
  let picture = null;
  if (!item.video) { try { picture = await createImageBitmap(item.file); } catch { /* the server will say what is wrong with it */ } }
  if (mine !== paint) return;
  canvas.hidden = !picture; $("hint").hidden = Boolean(picture); $("drop").classList.toggle("small", item.video);
  $("hint").textContent = item.video || picture ? "Drop or choose more" : "This browser cannot show the file. Drop or choose another one";
  if (!picture) return;
  const scale = Math.min(1, 1280 / picture.width);
  canvas.width = picture.width * scale; canvas.height = picture.height * scale;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  if (item.answer) boxes(canvas, item.answer);
}

function boxes(canvas, answer) {
  const pen = canvas.getContext("2d"), fit = canvas.width / answer.width, size = Math.max(13, Math.round(canvas.width / 55));
  pen.font = `600 ${size}px system-ui, sans-serif`; pen.lineWidth = Math.max(2, size / 6); pen.textBaseline = "bottom";
  const found = answer.evidence.flatMap(e => Object.values(e.boxes).flat()).filter(b => b.score >= SHOWN_SCORE);
  const placed = [];
  for (const { box, label, score } of found) {
    const [x0, y0] = box.map(v => v * fit), words = `${label} ${score.toFixed(2)}`, width = pen.measureText(words).width + 8, height = size * 1.25;
    const left = Math.max(0, Math.min(x0, canvas.width - width));
    let bottom = y0 - pen.lineWidth;
    const hits = () => placed.find(l => left < l.left + l.width && l.left < left + width && bottom > l.bottom - height && bottom - height < l.bottom);
    for (let hit = hits(); hit; hit = hits()) bottom = hit.bottom - height - 1;  // labels pile up instead of covering each other
    if (bottom < height) bottom = Math.min(canvas.height, box[3] * fit + height + pen.lineWidth);
    placed.push({ left, width, bottom });
    pen.fillStyle = COLOURS[label] || "#FFFFFF"; pen.fillRect(left, bottom - height, width, height);
    pen.fillStyle = "#000000"; pen.fillText(words, left + 4, bottom - size * 0.1);
  }
  for (const { box, label } of found) {
    const [x0, y0, x1, y1] = box.map(v => v * fit);
    pen.strokeStyle = COLOURS[label] || "#FFFFFF"; pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
  canvas.dataset.boxes = found.length;
}

// The score over a video: stretches of road work shaded, one half as a line.
function timeline(answer) {
  const canvas = $("line"), pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue(name);
  canvas.width = 2 * canvas.clientWidth; canvas.height = 2 * canvas.clientHeight;
  const length = Math.max(answer.seconds, answer.timeline.at(-1).at_seconds, 0.1), edge = 6;
  const x = s => edge + (s / length) * (canvas.width - 2 * edge), y = p => edge + (1 - p) * (canvas.height - 2 * edge);
  pen.fillStyle = colour("--ground"); pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.globalAlpha = 0.25; pen.fillStyle = colour("--yes");
  for (const part of answer.segments) pen.fillRect(x(part.start_seconds), 0, Math.max(2, x(part.end_seconds) - x(part.start_seconds)), canvas.height);
  pen.globalAlpha = 1; pen.strokeStyle = colour("--soft"); pen.lineWidth = 2;
  pen.beginPath(); pen.moveTo(0, y(0.5)); pen.lineTo(canvas.width, y(0.5)); pen.stroke();
  pen.strokeStyle = colour("--accent"); pen.lineWidth = 4; pen.lineJoin = "round";
  pen.beginPath();
  for (const { at_seconds, smoothed } of answer.timeline) pen.lineTo(x(at_seconds), y(smoothed));
  pen.stroke();
  canvas.onclick = event => seek((event.offsetX / canvas.clientWidth) * length);
}

/* ---- what a person does ---- */

const drop = $("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, event => { event.preventDefault(); drop.classList.toggle("over", name === "dragover"); });
}
document.addEventListener("drop", event => add(event.dataTransfer.files));
document.addEventListener("paste", event => add(event.clipboardData.files));
$("file").addEventListener("change", event => { add(event.target.files); event.target.value = ""; });
$("again").addEventListener("click", () => { update(shown, "waiting", ""); go(); });
$("key").addEventListener("change", () => { for (const item of items) if (item.state === "locked") update(item, "waiting", ""); go(); });
ready();
