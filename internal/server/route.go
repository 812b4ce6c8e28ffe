package server

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// route is one line of the table. The fields below handle are for the
// OpenAPI document.
type route struct {
	method string
	// path has literal segments, {name} for one segment, and {name...} for all
	// that follow. It matches with and without a slash at the end.
	path   string
	guard  guard
	handle func(*server, *call) (answer, error)

	summary string
	takes   any // zero value of the body's type; nil: no body
	gives   any // zero value of the answer's type; nil: empty
	or      any // another form of the answer
	status  int // of success
	also    []int
	query   []parameter

	segments []string
}

// guard is who may ask: anybody with a token, anybody, or the builder.
type guard int

const (
	forUsers guard = iota
	forAll
	forBuilder
)

// reachesApps reports whether a token that is bounded to apps may ask. What is
// not of apps is of its user's whole account.
func (r *route) reachesApps() bool {
	return strings.HasPrefix(r.path, "/v2/apps/") ||
		slices.Contains([]string{"/v2/", "/v2/platform/", "/v2/auth/whoami/", "/v2/audit/"}, r.path)
}

type parameter struct{ name, kind, doc string }

// forms are what a parameter's value must look like for a route to be one.
var forms = map[string]*regexp.Regexp{
	"app":     regexp.MustCompile(`^[a-z0-9-]+$`),
	"version": regexp.MustCompile(`^v[0-9]+$`),
}

// match returns the parameters of the path's segments, or false.
func (r *route) match(path []string) (map[string]string, bool) {
	var values map[string]string
	for i, segment := range r.segments {
		name, isParameter := strings.CutPrefix(segment, "{")
		name = strings.TrimSuffix(name, "}")
		rest, takesRest := strings.CutSuffix(name, "...")
		switch {
		case i >= len(path):
			return nil, false
		case !isParameter:
			if segment != path[i] {
				return nil, false
			}
			continue
		case takesRest:
			return set(values, rest, strings.Join(path[i:], "/")), true
		case path[i] == "" || forms[name] != nil && !forms[name].MatchString(path[i]):
			return nil, false
		}
		values = set(values, name, path[i])
	}
	return values, len(path) == len(r.segments)
}

func set(values map[string]string, name, value string) map[string]string {
	if values == nil {
		values = make(map[string]string, 3)
	}
	values[name] = value
	return values
}

// place is what the table knows of a request's path.
type place struct {
	route   *route   // the first with its method, or nil
	guard   guard    // of the path's routes
	methods []string // the path has; none: it leads nowhere
}

// find looks the request up and fills c.path.
func (s *server) find(c *call) place {
	path, ok := segments(c.r.URL.Path)
	if !ok {
		return place{}
	}
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var found place
	for i := range s.routes {
		route := &s.routes[i]
		values, ok := route.match(path)
		if !ok {
			continue
		}
		if route.method == method && found.route == nil {
			c.path, found.route = values, route
		}
		found.add(route)
	}
	slices.Sort(found.methods)
	return found
}

func (p *place) add(r *route) {
	if len(p.methods) == 0 {
		p.methods, p.guard = append(p.methods, http.MethodOptions), r.guard
	}
	if slices.Contains(p.methods, r.method) {
		return
	}
	p.methods = append(p.methods, r.method)
	if r.method == http.MethodGet {
		p.methods = append(p.methods, http.MethodHead)
	}
}

// segments splits a decoded path. Slashes in a row count as one and one at
// the end as none, without ever a redirect: it would turn a POST into a GET.
func segments(path string) ([]string, bool) {
	if !utf8.ValidString(path) || strings.ContainsRune(path, 0) {
		return nil, false
	}
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), true
}
