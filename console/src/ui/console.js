// Keeps a page that shows the present up to date: fetches it again and replaces what has changed, unless nobody looks, somebody
// is at work in it, or it is of the past.
const PAUSE = 5000;

async function refresh() {
  const main = document.querySelector("main[data-live]");
  const busy = main?.contains(document.activeElement) || !getSelection().isCollapsed;
  if (!main || document.hidden || busy) return;
  let answer;
  try {
    answer = await fetch(location.href, { headers: { accept: "text/html" } });
  } catch {
    main.dataset.stale = "";
    return;
  }
  if (answer.redirected) {
    location.reload();
    return;
  }
  if (!answer.ok) {
    main.dataset.stale = "";
    return;
  }
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  if (next) main.replaceWith(document.adoptNode(next));
}

setInterval(refresh, PAUSE);
