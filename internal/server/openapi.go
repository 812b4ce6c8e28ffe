package server

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipway-paas/slipway/internal/api"
)

// document is the OpenAPI 3.1 description of the table. It is made when
// somebody first asks, so that a server nobody asks pays nothing for it.
type document struct{ text func() (string, error) }

func newDocument(routes []route, version string) *document {
	return &document{text: sync.OnceValues(func() (string, error) {
		data, err := describe(routes, version).MarshalJSON()
		return string(data), err
	})}
}

func describe(routes []route, version string) *huma.OpenAPI {
	d := describer{huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)}
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Slipway", Version: version,
			Description: "Protocol " + api.APIVersion + " of Deis Workflow, which its clients speak, and more. " +
				"Every path works with and without a slash at the end; every answer carries " + api.HeaderAPIVersion + ".",
		},
		Components: &huma.Components{
			Schemas: d.registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {
					Type: "apiKey", In: "header", Name: "Authorization",
					Description: "The word token, a space, and the token of a login or a named one.",
				},
				"builder": {
					Type: "apiKey", In: "header", Name: api.HeaderBuilderAuth,
					Description: "The key that builder and platform share.",
				},
			},
		},
		Paths: map[string]*huma.PathItem{},
	}
	for i := range routes {
		doc.AddOperation(d.operation(&routes[i]))
	}
	for _, schema := range d.registry.Map() {
		soften(schema)
	}
	return doc
}

// soften takes back what huma assumes and this API does otherwise: no list is
// ever null, and unknown fields are ignored on both sides.
func soften(schema *huma.Schema) {
	if schema == nil {
		return
	}
	if schema.Type == huma.TypeArray {
		schema.Nullable = false
	}
	if schema.AdditionalProperties == false {
		schema.AdditionalProperties = nil
	}
	for _, property := range schema.Properties {
		soften(property)
	}
	soften(schema.Items)
	if values, ok := schema.AdditionalProperties.(*huma.Schema); ok {
		soften(values)
	}
}

type describer struct{ registry huma.Registry }

func (d describer) operation(r *route) *huma.Operation {
	op := &huma.Operation{
		Method: r.method, Path: strings.ReplaceAll(r.path, "...}", "}"), Summary: r.summary,
		OperationID: operationID(r), Tags: []string{tag(r)},
		Responses: map[string]*huma.Response{strconv.Itoa(r.status): {Description: http.StatusText(r.status), Content: d.answer(r)}},
	}
	if scheme := map[guard]string{forUsers: "token", forBuilder: "builder"}[r.guard]; scheme != "" {
		op.Security = []map[string][]string{{scheme: {}}}
	}
	for _, segment := range r.segments {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			op.Parameters = append(op.Parameters, &huma.Param{Name: strings.TrimRight(name, ".}"), In: "path", Required: true, Schema: pathSchema(name)})
		}
	}
	for _, p := range r.query {
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: "query", Description: p.doc, Schema: &huma.Schema{Type: p.kind}})
	}
	if r.takes != nil {
		op.RequestBody = &huma.RequestBody{Content: d.content(r.takes)}
	}
	for _, status := range r.failures() {
		content := d.failure(status)
		if text, ok := r.gives.(answer); ok && r.guard == forAll {
			content = d.content(text) // health is for those who read no JSON
		}
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: content}
	}
	return op
}

// failures are the statuses a route may answer besides its own.
func (r *route) failures() []int {
	all := map[int]bool{http.StatusInternalServerError: true}
	for _, status := range r.also {
		all[status] = true
	}
	if r.guard != forAll {
		all[http.StatusUnauthorized] = true
		all[http.StatusServiceUnavailable] = true
	}
	if r.guard == forBuilder || r.guard == forUsers && !r.reachesApps() {
		all[http.StatusForbidden] = true
	}
	if !reads(r.method) { // a body is read also where none is needed
		all[http.StatusBadRequest] = true
		all[http.StatusRequestTimeout] = true
		all[http.StatusRequestEntityTooLarge] = true
		all[http.StatusUnsupportedMediaType] = true
	}
	if strings.Contains(r.path, "{app}") {
		all[http.StatusForbidden] = true
		all[http.StatusNotFound] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// answer is the body of success.
func (d describer) answer(r *route) map[string]*huma.MediaType {
	content := d.content(r.gives)
	if r.or != nil {
		json := content["application/json"]
		json.Schema = &huma.Schema{OneOf: []*huma.Schema{json.Schema, d.content(r.or)["application/json"].Schema}}
	}
	return content
}

func (d describer) content(body any) map[string]*huma.MediaType {
	if body == nil {
		return nil
	}
	if text, ok := body.(answer); ok {
		return map[string]*huma.MediaType{text.kind: {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	t := reflect.TypeOf(body)
	schema := d.registry.Schema(t, true, t.Name())
	soften(schema)
	return map[string]*huma.MediaType{"application/json": {Schema: schema}}
}

// failure is the body of a failed answer: see api.Error.
func (d describer) failure(status int) map[string]*huma.MediaType {
	if status < http.StatusBadRequest {
		return nil
	}
	detail := &huma.Schema{
		Type: huma.TypeObject, Required: []string{"detail"},
		Properties: map[string]*huma.Schema{"detail": {Type: huma.TypeString}},
	}
	schema := detail
	switch status {
	case http.StatusBadRequest:
		schema = &huma.Schema{OneOf: []*huma.Schema{detail, {
			Type: huma.TypeObject, Description: "Messages by field.",
			AdditionalProperties: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}},
		}}}
	case http.StatusNotFound:
		schema = &huma.Schema{OneOf: []*huma.Schema{detail, {
			Type:     huma.TypeString,
			Examples: []any{"No App matches the given query."},
		}}}
	}
	return map[string]*huma.MediaType{"application/json": {Schema: schema}}
}

func pathSchema(name string) *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeString}
	if form := forms[strings.TrimRight(name, ".}")]; form != nil {
		schema.Pattern = form.String()
	}
	return schema
}

// operationID is the method and the path's words: post-apps-app-config.
func operationID(r *route) string {
	words := []string{strings.ToLower(r.method)}
	for _, segment := range r.segments {
		if word := strings.Trim(segment, "{.}"); word != "v2" {
			words = append(words, word)
		}
	}
	if len(words) == 1 {
		words = append(words, "root")
	}
	return strings.Join(words, "-")
}

// tag is the most particular noun in the path.
func tag(r *route) string {
	nouns := []string{"hooks", "auth", "users", "admin", "audit", "tokens", "keys", "certs", "perms", "builds", "config", "releases", "pods", "domains", "settings", "whitelist", "tls", "services", "edge", "cutover", "volumes", "ports", "apps"}
	for _, noun := range nouns {
		if slices.Contains(r.segments, noun) {
			return noun
		}
	}
	return "platform"
}
