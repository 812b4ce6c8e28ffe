package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
)

// page is an answer of the router itself.
type page struct {
	status int
	title  string
	text   string // what it means, for whoever asked
	retry  int    // seconds for Retry-After; 0: none
	to     string // where to go instead; empty: nowhere
	kind   string // of text, when that is all there is; empty: it is rendered

	challenge string // for WWW-Authenticate; empty: none
	resting   bool   // the app is in maintenance
	html      []byte // the team's own page; nil: the router's
}

func badHost() page {
	return page{
		status: http.StatusBadRequest, title: "Bad request",
		text: "The request names no valid host.",
	}
}

func badPath() page {
	return page{
		status: http.StatusBadRequest, title: "Bad request",
		text: "The request's path has a percent sign that is followed by no number.",
	}
}

// refused is for a request that breaks a rule of the protocol.
func refused(e *h1.Error) page {
	return page{status: e.Status, title: http.StatusText(e.Status), text: "The request is refused: " + e.Error() + "."}
}

func slowHead() page {
	return page{
		status: http.StatusRequestTimeout, title: "Request too slow",
		text: "The request's head did not come in time.",
	}
}

func slowBody() page {
	return page{
		status: http.StatusRequestTimeout, title: "Request too slow",
		text: "The request's body came too slowly.",
	}
}

func unknownHost(host string) page {
	return page{
		status: http.StatusNotFound, title: "Unknown host",
		text: fmt.Sprintf("No app answers to the name %s.", host),
	}
}

func inMaintenance(app string) page {
	return page{
		status: http.StatusServiceUnavailable, title: "Down for maintenance", retry: 60, resting: true,
		text: fmt.Sprintf("The app %s is in maintenance and will be back.", app),
	}
}

func notAllowed(app string) page {
	return page{
		status: http.StatusForbidden, title: "Not allowed from here",
		text: fmt.Sprintf("The app %s is open to some networks only, and this request comes from another.", app),
	}
}

func notFromThere(app string) page {
	return page{
		status: http.StatusForbidden, title: "Not allowed from here",
		text: fmt.Sprintf("The app %s is not open to the network that this request comes from.", app),
	}
}

func onlyHTTPS(to string) page {
	return page{
		status: http.StatusMovedPermanently, title: "Moved to HTTPS", to: to,
		text: "This app is served by HTTPS only.",
	}
}

func noClientCert(app string) page {
	return page{
		status: http.StatusForbidden, title: "Certificate needed",
		text: fmt.Sprintf("The app %s is open to clients with a certificate only. Come by HTTPS, with one.", app),
	}
}

func wrongConnection() page {
	return page{
		status: http.StatusMisdirectedRequest, title: "Wrong connection",
		text: "This app asks for a certificate, and this connection was made for another name or before it asked. Connect anew.",
	}
}

func longPath() page {
	return page{
		status: http.StatusRequestURITooLong, title: "Path too long",
		text: fmt.Sprintf("The paths of this app may have %d bytes.", match.MaxPath),
	}
}

func oddPath() page {
	return page{
		status: http.StatusBadRequest, title: "Bad request",
		text: "The dots in the request's path make it lead to two places.",
	}
}

func nothingUp(app string) page {
	return page{
		status: http.StatusServiceUnavailable, title: "App not available", retry: 5,
		text: fmt.Sprintf("No instance of the app %s is running and healthy at the moment.", app),
	}
}

func crowded(app string) page {
	return page{
		status: http.StatusServiceUnavailable, title: "App is being replaced", retry: 5,
		text: fmt.Sprintf("The app %s is being replaced at the moment, and too many requests wait for it already.", app),
	}
}

func busy(app string) page {
	return page{
		status: http.StatusServiceUnavailable, title: "App is busy", retry: 1,
		text: fmt.Sprintf("Each instance of the app %s has as many requests as it may have at a time.", app),
	}
}

func unreachable(app string) page {
	return page{
		status: http.StatusServiceUnavailable, title: "App not reachable", retry: 1,
		text: fmt.Sprintf("No instance of the app %s accepts connections at the moment.", app),
	}
}

func brokeOff(app string) page {
	return page{
		status: http.StatusBadGateway, title: "App ended the connection",
		text: fmt.Sprintf("The app %s ended the connection before it had answered.", app),
	}
}

func garbled(app string) page {
	return page{
		status: http.StatusBadGateway, title: "App gave no valid answer",
		text: fmt.Sprintf("What the app %s answered breaks the rules of HTTP.", app),
	}
}

func tooSlow(app string) page {
	return page{
		status: http.StatusGatewayTimeout, title: "App did not answer in time",
		text: fmt.Sprintf("The app %s did not begin its answer in time.", app),
	}
}

func badBody(err error) page {
	if rule, ok := errors.AsType[*h1.Error](err); ok {
		return refused(rule)
	}
	return page{
		status: http.StatusBadRequest, title: "Bad request",
		text: "The request's body ended early or was malformed.",
	}
}

func tooLarge(most int64) page {
	return page{
		status: http.StatusRequestEntityTooLarge, title: "Too large",
		text: fmt.Sprintf("The bodies of requests to this app may have %d bytes.", most),
	}
}

func controlDown() page {
	return page{
		status: http.StatusServiceUnavailable, title: "Control plane not available", retry: 2,
		text: "The control plane of this platform does not answer at the moment. Apps go on running; try again soon.",
	}
}

func leaving() page {
	return page{
		status: http.StatusServiceUnavailable, title: "Router is stopping", retry: 1,
		text: "This router is being replaced. Try again.",
	}
}

// head is the head of the answer and its body, in the form the client reads:
// HTML only for those that ask for it, JSON for API clients, else plain text.
func (p page) head(res *h1.Response, accept, id string) (body string) {
	kind, body := p.render(accept, id)
	*res = h1.Response{Status: p.status, Reason: []byte(http.StatusText(p.status))}
	set := func(name, value string) {
		res.Fields = append(res.Fields, h1.Field{Name: []byte(name), Value: []byte(value)})
	}
	set("Content-Type", kind)
	set("Cache-Control", "no-store")
	set("X-Content-Type-Options", "nosniff")
	if p.to != "" {
		set("Location", p.to)
	}
	if p.challenge != "" {
		set("WWW-Authenticate", p.challenge)
	}
	if p.retry > 0 {
		set("Retry-After", strconv.Itoa(p.retry))
	}
	res.Length = int64(len(body))
	return body
}

func (p page) render(accept, id string) (kind, text string) {
	switch {
	case p.kind != "":
		return p.kind, p.text
	case p.html != nil && strings.Contains(accept, "text/html"):
		return "text/html; charset=utf-8", string(p.html)
	case strings.Contains(accept, "text/html"):
		return "text/html; charset=utf-8", fmt.Sprintf(pageHTML, p.status,
			html.EscapeString(p.title), html.EscapeString(p.text), html.EscapeString(id))
	case strings.Contains(accept, "application/json"):
		body, _ := json.Marshal(map[string]string{"detail": p.text, "request_id": id}) // strings only
		return "application/json", string(body) + "\n"
	}
	return "text/plain; charset=utf-8", fmt.Sprintf("%d %s\n\n%s\n\nrequest %s\n", p.status, p.title, p.text, id)
}

func overloaded(app string, retry int) page {
	return page{
		status: http.StatusServiceUnavailable, title: "App is overloaded", retry: retry,
		text: fmt.Sprintf("The app %s is asked for more than it can do at the moment. Try again later.", app),
	}
}

func tooMany(app string, retry int) page {
	return page{
		status: http.StatusTooManyRequests, title: "Too many requests", retry: retry,
		text: fmt.Sprintf("The app %s has had too many requests of this kind. Try again later.", app),
	}
}
