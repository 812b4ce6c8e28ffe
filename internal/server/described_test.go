package server_test

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipway-paas/slipway/internal/server"
)

// document is one for all tests; validating against it writes into it.
var (
	document   = server.Document()
	documentMu sync.Mutex
)

// checkDescribed fails the test when an answer is another than the OpenAPI
// document says: a status it does not name, or a body its schema refuses.
func (d *door) checkDescribed(method, path string, status int, kind string, body []byte) {
	d.t.Helper()
	at, err := url.Parse(d.url + path)
	if err != nil {
		return
	}
	row, ok := server.RowOf(method, at.Path)
	if !ok {
		return // no route, or not with this method
	}
	for _, problem := range problems(row, status, kind, body) {
		d.t.Errorf("%s %s answers %d %.300s, which is not as described: %s", method, path, status, body, problem)
	}
}

// problems are what in an answer of the row is not as described.
func problems(row server.Row, status int, kind string, body []byte) []string {
	documentMu.Lock()
	defer documentMu.Unlock()
	response := operationOf(row).Responses[strconv.Itoa(status)]
	if response == nil {
		return []string{"the status is not named"}
	}
	kind, _, _ = strings.Cut(kind, ";")
	switch {
	case len(body) == 0:
		return nil
	case kind != "application/json":
		for described := range response.Content {
			if strings.HasPrefix(described, kind) {
				return nil
			}
		}
		return []string{"the content type is not named: " + kind}
	case response.Content["application/json"] == nil:
		return []string{"no body is described"}
	}
	schema := response.Content["application/json"].Schema
	schema.PrecomputeMessages()
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return []string{err.Error()}
	}
	var result huma.ValidateResult
	huma.Validate(document.Components.Schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, &result)
	var wrong []string
	for _, err := range result.Errors {
		wrong = append(wrong, err.Error())
	}
	return wrong
}

func operationOf(row server.Row) *huma.Operation {
	path := document.Paths[row.Path]
	return map[string]*huma.Operation{"GET": path.Get, "POST": path.Post, "DELETE": path.Delete}[row.Method]
}

func TestTheDocumentIsHeldAgainstEveryAnswer(t *testing.T) {
	row, ok := server.RowOf("GET", "/v2/apps/blog/")
	if !ok {
		t.Fatal("no such row")
	}
	for _, c := range []struct {
		status     int
		kind, body string
	}{
		{200, "application/json", `{"id":5}`}, {200, "application/json", `[]`}, {200, "text/html", `x`}, {418, "application/json", `{}`}, {403, "application/json", `{"words":1}`},
	} {
		if problems(row, c.status, c.kind, []byte(c.body)) == nil {
			t.Errorf("%d %s %s passes", c.status, c.kind, c.body)
		}
	}
	if wrong := problems(row, 404, "application/json", []byte(`"No App matches the given query."`)); wrong != nil {
		t.Error(wrong)
	}
}

func TestEveryRowIsDescribedWhole(t *testing.T) {
	for _, row := range server.Rows() {
		op := operationOf(row)
		if op == nil || op.Summary == "" || op.OperationID == "" || len(op.Tags) != 1 || op.Responses[strconv.Itoa(row.Status)] == nil {
			t.Errorf("%s %s: %+v", row.Method, row.Path, op)
			continue
		}
		if (row.Takes != nil) != (op.RequestBody != nil) {
			t.Errorf("%s %s takes %T and is described otherwise", row.Method, row.Path, row.Takes)
		}
		if row.Method == "POST" && row.Status != 200 && row.Status != 201 && row.Status != 204 {
			t.Errorf("%s %s answers %d", row.Method, row.Path, row.Status)
		}
		if op.Security != nil && op.Responses["401"] == nil {
			t.Errorf("%s %s knows no 401", row.Method, row.Path)
		}
	}
}
