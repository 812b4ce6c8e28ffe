// Tells whether the path is a number, with the help of an npm dependency.
const http = require("http");
const isNumber = require("is-number");

const server = http.createServer((request, response) => {
  const word = request.url.slice(1).split("?")[0];
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(`Hello from Node.js, ${JSON.stringify(word)} is ${isNumber(word) ? "a number" : "no number"}\n`);
});
const port = process.env.PORT || 5000;
server.listen(port, () => console.log(`listening on port ${port}`));

// Requests under way are finished, then the process ends.
process.on("SIGTERM", () => server.close(() => process.exit(0)));
