package server

import (
	"net/http"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
)

// protect tells browsers what Deis' API told them. Pages of any origin may
// call the API: it knows no cookies, so a page has no more power than the
// token it was given.
func protect(h http.Header) {
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["X-Frame-Options"] = []string{"DENY"}
	h["X-Xss-Protection"] = []string{"1; mode=block"}
	h["Access-Control-Allow-Origin"] = []string{"*"}
	h["Access-Control-Expose-Headers"] = []string{strings.Join([]string{api.HeaderAPIVersion, api.HeaderPlatformVersion, api.HeaderRequestID}, ", ")}
}

// preflight answers OPTIONS, which asks for no token: a browser sends none.
func preflight(methods []string) answer {
	return answer{status: http.StatusNoContent, header: map[string]string{
		"Access-Control-Allow-Methods": strings.Join(methods, ", "),
		"Access-Control-Allow-Headers": "content-type, accept, origin, Authorization, Host",
		"Access-Control-Max-Age":       "86400",
	}}
}
