package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// answer is what a handler hands back. The zero answer was written by the
// handler itself.
type answer struct {
	status int
	body   any // encoded as JSON, unless text is set; nil: no bytes at all
	text   string
	kind   string // content type of text
	header map[string]string
}

func ok(body any) (answer, error)      { return answer{status: http.StatusOK, body: body}, nil }
func created(body any) (answer, error) { return answer{status: http.StatusCreated, body: body}, nil }
func noContent() (answer, error)       { return answer{status: http.StatusNoContent}, nil }

func html(status int, text string) answer {
	return answer{status: status, text: text, kind: "text/html; charset=utf-8"}
}

func noRoute() answer { return html(http.StatusNotFound, "<h1>Not Found</h1>\n") }

// list is the page the request chose of count things, mapped to the wire.
func list[T, W any](c *call, things []T, count int, wire func(T) W) (answer, error) {
	return listPage(c, c.page(), things, count, wire)
}

func listPage[T, W any](c *call, page platform.Page, things []T, count int, wire func(T) W) (answer, error) {
	l := api.List[W]{Count: count, Results: make([]W, 0, len(things))}
	for _, thing := range things {
		l.Results = append(l.Results, wire(thing))
	}
	if page.Offset < count-page.Limit { // no sum: a limit may be the largest number
		l.Next = c.pageURL(page.Limit, page.Offset+page.Limit)
	}
	if page.Offset > 0 {
		l.Previous = c.pageURL(page.Limit, max(0, page.Offset-page.Limit))
	}
	return ok(l)
}

func (a answer) write(c *call) {
	if a.status == 0 {
		return
	}
	h := c.w.Header()
	for name, value := range a.header {
		h.Set(name, value)
	}
	payload := []byte(a.text)
	switch {
	case a.text != "":
		h.Set("Content-Type", a.kind)
	case a.body != nil:
		payload = encode(a.body)
		h.Set("Content-Type", "application/json")
	}
	if a.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(payload)))
	}
	c.w.WriteHeader(a.status)
	_, _ = c.w.Write(payload) // nobody is left to be told
}

// encode never fails: wire types hold nothing JSON cannot.
func encode(body any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// writer remembers the status, and lets what is below through for flushing,
// deadlines and hijacking.
type writer struct {
	http.ResponseWriter
	status int
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
