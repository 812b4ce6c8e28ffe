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
	open   bool // no token needed
	handle func(*server, *call) (answer, error)

	summary string
	takes   any // zero value of the body's type; nil: no body
	gives   any // zero value of the answer's type; nil: empty
	status  int // of success
	also    []int
	query   []parameter

	segments []string
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

// find returns the first route of the table that has the request's path and
// method; else the methods the path has. It fills c.path.
func (s *server) find(c *call) (*route, []string) {
	path, ok := segments(c.r.URL.Path)
	if !ok {
		return nil, nil
	}
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	for i := range s.routes {
		route := &s.routes[i]
		values, ok := route.match(path)
		if !ok {
			continue
		}
		if route.method == method {
			c.path = values
			return route, nil
		}
		if !slices.Contains(allowed, route.method) {
			allowed = append(allowed, route.method)
		}
	}
	return nil, allowed
}

// segments splits a decoded path. Slashes in a row count as one and one at
// the end as none, without ever a redirect: it would turn a POST into a GET.
func segments(path string) ([]string, bool) {
	if !utf8.ValidString(path) || strings.ContainsRune(path, 0) {
		return nil, false
	}
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), true
}
