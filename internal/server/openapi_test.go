package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// described is as much of the OpenAPI document as the tests read.
type described struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]any }
}

type operation struct {
	OperationID string
	Summary     string
	Parameters  []struct{ Name, In string }
	RequestBody json.RawMessage
	Responses   map[string]any
	Security    []any
}

func describe(d *door) described {
	d.t.Helper()
	var doc described
	if err := json.Unmarshal([]byte(d.expect("", "GET", "/v2/openapi.json", "", 200, "")), &doc); err != nil {
		d.t.Fatal(err)
	}
	return doc
}

func TestTheDocumentDescribesEveryRoute(t *testing.T) {
	d := open(t)
	doc := describe(d)
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) < 30 {
		t.Fatal(doc.OpenAPI, len(doc.Paths))
	}
	seen := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			if op.Summary == "" || len(op.Responses) < 2 || seen[op.OperationID] {
				t.Errorf("%s %s: %+v", method, path, op)
			}
			seen[op.OperationID] = true
			if parameters := strings.Count(path, "{"); parameters > len(op.Parameters) {
				t.Errorf("%s %s names %d parameters of %d", method, path, len(op.Parameters), parameters)
			}
		}
		// What the document does not describe is not there.
		allow := d.do("ada", "PATCH", fill(path), "").Header.Get("Allow")
		want := strings.ToUpper(strings.Join(slices.Sorted(maps.Keys(operations)), ", "))
		for method := range strings.SplitSeq(want, ", ") {
			if !strings.Contains(allow, method) {
				t.Errorf("%s allows %s and describes %s", path, allow, want)
			}
		}
	}
}

func TestTheDocumentsReferencesLead(t *testing.T) {
	d := open(t)
	body := d.expect("", "GET", "/v2/openapi.json", "", 200, "")
	schemas := describe(d).Components.Schemas
	for _, part := range strings.Split(body, `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if schemas[name] == nil {
			t.Errorf("%s is not described", name)
		}
	}
	if strings.Contains(body, `"array","null"`) || strings.Contains(body, `"additionalProperties":false`) {
		t.Error("a list may be null, or an unknown field is an error")
	}
	if len(schemas) < 20 {
		t.Error(slices.Collect(maps.Keys(schemas)))
	}
}

var fillings = strings.NewReplacer("{app}", "blog", "{version}", "v1", "{uuid}", "u", "{type}", "web", "{name}", "n", "{domain}", "d.example.com", "{id}", "k", "{username}", "carol", "{fingerprint}", "00:11")

func fill(path string) string { return fillings.Replace(path) }

func TestNothingAClientSendsIsAServerError(t *testing.T) {
	t.Run("memory", func(t *testing.T) { sendNonsense(t, open(t)) })
	t.Run("controller on SQLite", func(t *testing.T) { sendNonsense(t, openStreet(t)) })
}

// sendNonsense sends every kind of wrong body to every route.
func sendNonsense(t *testing.T, d *door) {
	values := []string{
		`null`, `true`, `""`, `"x"`, `"\u0000"`, `"\ud800"`, `"{\"a\":"`, `"null"`, `-1`, `0`, `1e999`, `99999999999999999999999`, `1.5`,
		`[]`, `[null]`, `{}`, `{"":""}`, `{"web":null}`, `{"web":{}}`, `{"web/cmd":{"livenessProbe":[]}}`, `{"web":{"readinessProbe":{"httpGet":{"port":1e99}}}}`,
		`{"A":["x"],"HEALTHCHECK_URL":"/","HEALTHCHECK_TIMEOUT":"99999999999999999999"}`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
	}
	names := []string{
		"id", "username", "password", "new_password", "email", "first_name", "all", "public", "command", "image", "procfile", "sha", "dockerfile",
		"values", "memory", "cpu", "tags", "registry", "healthcheck", "termination_grace_period", "lifecycle_pre_stop", "version", "domain",
		"maintenance", "routable", "deploy_branch", "whitelist", "autoscale", "label", "web", "structure", "unknown",
	}
	bodies := []string{"", " ", "null", "true", `"x"`, "[", "{", `{"a":}`, "\x00", "\xff", `{"a":1}{"b":2}`, strings.Repeat("[", 20000), strings.Repeat(`{"a":`, 20000)}
	for _, value := range values {
		all := make([]string, len(names))
		for i, name := range names {
			all[i] = `"` + name + `":` + value
		}
		bodies = append(bodies, "{"+strings.Join(all, ",")+"}")
	}
	for path, operations := range describe(d).Paths {
		for method := range operations {
			for _, body := range bodies {
				status := d.status("bob", strings.ToUpper(method), fill(path), body)
				if status >= 500 && status != http.StatusServiceUnavailable || status == http.StatusMovedPermanently {
					t.Errorf("%s %s %.200s: %d", method, path, body, status)
				}
				if method == "delete" && status == http.StatusNoContent && (path == "/v2/auth/cancel/" || path == "/v2/apps/{app}/") {
					restore(d, path)
				}
			}
		}
	}
	for _, path := range []string{
		"/v2/apps/?limit=%00&offset=%ff", "/v2/apps/blog/logs?log_lines=%00&source=%ff&process=%00", "/v2/apps/blog/run?command=%00", "/v2/apps/blog/run?command=x&rows=99999999&cols=-1&tty=2&term=%00",
		"/v2/apps/blog/domains/%E2%98%83", "/v2/keys/%2e%2e/%2e%2e", "/v2/apps/" + strings.Repeat("a", 8000), "/v2/apps/blog/pods/%2500/%252f",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "FROB"} {
			if status := d.status("bob", method, path, ""); status >= 500 {
				t.Errorf("%s %s: %d", method, path, status)
			}
		}
	}
	if log := d.logged(); strings.Contains(log, "request panicked") || strings.Contains(log, "request failed") {
		t.Error(log[:min(len(log), 4000)])
	}
}

// restore gives back what a request took away.
func restore(d *door, path string) {
	if path == "/v2/auth/cancel/" {
		d.register("bob")
	}
	d.status("bob", "POST", "/v2/apps/", `{"id":"blog"}`)
}
