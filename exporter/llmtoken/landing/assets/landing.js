// Without this the page is as whole as with it; it only saves the reload. Every five seconds what has changed on the
// server takes the place of what is shown, but never under the hands of who is using it.
const PAUSE = 5000;

function inUse() {
  const selection = document.getSelection();
  return document.hidden || (selection && !selection.isCollapsed) || document.activeElement?.closest("main, footer");
}

async function refresh() {
  try {
    const answer = inUse() ? null : await fetch(location.href, { cache: "no-store" });
    if (answer?.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of ["header", "main", "footer"]) {
        document.querySelector(part).replaceWith(document.adoptNode(fresh.querySelector(part)));
      }
      document.title = fresh.title;
    }
  } catch {
    const state = document.getElementById("state");
    state.textContent = "Not reachable";
    state.className = "state bad";
  }
  setTimeout(refresh, PAUSE);
}

setTimeout(refresh, PAUSE);
