package router

// pageHTML is a page of the router's own: status, title, text, id. It loads
// nothing, for nothing else may be reachable, and shows no more than its text
// in a browser of any width, in the light or the dark.
const pageHTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>%[1]d %[2]s</title>
<style>
:root{color-scheme:light dark;--ink:#1d2129;--soft:#5c6470;--line:#d9dde3;--paper:#fff;--desk:#f4f5f7}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a0a7b1;--line:#363b43;--paper:#1e2126;--desk:#14161a}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100svh;display:grid;place-items:center;padding:1.25rem;background:var(--desk);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{width:100%%;max-width:34rem;padding:clamp(1.5rem,5vw,2.5rem);background:var(--paper);border:1px solid var(--line);border-radius:12px;overflow-wrap:anywhere}
.code{margin:0;color:var(--soft);font-size:.875rem;letter-spacing:.04em}
h1{margin:.25rem 0 .75rem;font-size:clamp(1.375rem,4.5vw,1.75rem);line-height:1.25;font-weight:650;text-wrap:balance}
p{margin:0}
footer{margin-top:1.75rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.8125rem}
code{font:inherit;font-family:ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace}
</style>
<main>
<p class="code">%[1]d</p>
<h1>%[2]s</h1>
<p>%[3]s</p>
<footer>If you ask about this, name the request: <code>%[4]s</code></footer>
</main>
</html>
`
