package server_test

import (
	"encoding/json"
	"maps"
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
