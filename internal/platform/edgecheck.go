package platform

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of an Edge, beside MaxEdge for all of it.
const (
	maxEdgeList       = 1000 // items of any list
	maxEdgeRules      = 100  // redirects, matches, classes
	maxEdgeConditions = 8    // of one match
	maxEdgeHeaders    = 50
	maxEdgeUsers      = 100
	maxEdgeRates      = 8
	maxEdgePages      = 20
	maxEdgePage       = 64 << 10 // bytes of one page
	maxEdgeCA         = 64 << 10
	maxEdgeCAs        = 50
	maxEdgeName       = 100 // bytes of a header's, cookie's or user's name
	maxEdgeValue      = 2 << 10
	maxEdgeTarget     = 2 << 10
	maxEdgeBody       = 1 << 40
)

// Codings that answers may be given, and what stands alone for none of them
// (RFC 9110, 8.4.1).
const (
	CodingZstd     = "zstd"
	CodingBrotli   = "br"
	CodingGzip     = "gzip"
	CodingIdentity = "identity"
)

// ProtocolH2C is HTTP/2 with prior knowledge: see Edge.Protocol.
const ProtocolH2C = "h2c"

// OverloadClasses are the business priorities, the highest first.
var overloadClasses = []string{"critical", "normal", "bulk", "background"}

// Validate returns nil when routers can do what e asks for. The error names
// each field that is wrong and what would be right; it is one FieldError or
// several joined.
func (e Edge) Validate() error {
	c := &edgeCheck{}
	c.timeouts(e.Timeouts)
	c.number("max_body", e.MaxBody, maxEdgeBody)
	c.codings(e.Compress)
	c.hsts(e.HSTS)
	c.redirects(e.Redirects)
	c.matches(e.Matches)
	c.pages(e.Pages)
	c.deny(e.Deny)
	c.auth(e.Auth)
	c.headers(e.Headers)
	if e.Protocol != "" && e.Protocol != ProtocolH2C {
		c.reject("protocol", "Instances speak http1, which needs no word, or h2c.")
	}
	c.number("proxy", int64(e.Proxy), 2)
	c.balance(e.Balance)
	c.rates(e.Rates)
	c.overload(e.Overload)
	if sample := e.Log.Sample; sample != nil {
		c.number("log.sample", int64(*sample), 1000)
	}
	c.clients(e.Clients)
	if e.TLS != "" && e.TLS != TLSModern && e.TLS != TLSIntermediate {
		c.reject("tls", "%q is neither modern (TLS 1.3) nor intermediate (1.2 and 1.3).", clipped(e.TLS))
	}
	if c.weight > MaxPathWeight {
		c.reject("", "The regular expressions of this app's edge are too large to be matched quickly: write prefixes, such as /users.")
	}
	if len(c.wrong) == 0 {
		c.size(e)
	}
	return errors.Join(c.wrong...)
}

// edgeCheck gathers what is wrong.
type edgeCheck struct {
	wrong  []error
	weight int // of all regular expressions
}

func (c *edgeCheck) reject(field, format string, args ...any) {
	if len(c.wrong) < maxComplaints {
		c.wrong = append(c.wrong, Invalid(field, format, args...))
	}
}

func (c *edgeCheck) size(e Edge) {
	text, err := json.Marshal(e.Words())
	if err != nil || len(text) > MaxEdge {
		c.reject("", "The words of an app's edge have at most %s together; these have %s.", SizeText(MaxEdge), SizeText(int64(len(text))))
	}
}

func (c *edgeCheck) number(field string, n, most int64) {
	if n < 0 || n > most {
		c.reject(field, "%d is not between 0 and %d.", n, most)
	}
}

// span checks a time of which 0 stands for the router's own.
func (c *edgeCheck) span(field string, d, least, most time.Duration) {
	if d != 0 && (d < least || d > most) {
		c.reject(field, "%s is not between %s and %s.", SpanText(d), SpanText(least), SpanText(most))
	}
}

// some checks how long a list is and reports whether it can be looked at.
func (c *edgeCheck) some(field string, n, most int, what string) bool {
	if n > most {
		c.reject(field, "An app has at most %d %s; these are %d.", most, what, n)
	}
	return n <= most
}

func (c *edgeCheck) timeouts(t EdgeTimeouts) {
	c.span("timeouts.connect", t.Connect, 10*time.Millisecond, time.Minute)
	c.span("timeouts.answer", t.Answer, 10*time.Millisecond, day)
	c.span("timeouts.idle", t.Idle, time.Second, 30*day)
	c.span("timeouts.tcp", t.TCP, time.Second, 30*day)
	c.span("timeouts.drain", t.Drain, time.Second, day)
	c.span("timeouts.upgraded", t.Upgraded, time.Second, day)
}

func (c *edgeCheck) codings(codings []string) {
	for i, coding := range codings {
		field := fmt.Sprintf("compress[%d]", i)
		switch coding {
		case CodingZstd, CodingBrotli, CodingGzip:
			if slices.Contains(codings[:i], coding) {
				c.reject(field, "%s comes twice.", coding)
			}
		case CodingIdentity:
			if len(codings) > 1 {
				c.reject(field, "identity is for no compression at all, and stands alone.")
			}
		default:
			c.reject(field, "There is no coding %q; there are zstd, br and gzip.", clipped(coding))
		}
	}
}

func (c *edgeCheck) hsts(h *HSTS) {
	if h == nil {
		return
	}
	if h.MaxAge < 0 || h.MaxAge > 10*year || h.MaxAge%time.Second != 0 {
		c.reject("hsts.max_age", "Write whole seconds up to 10y, such as 1y; 0s has browsers forget it.")
	}
	if h.Preload && (!h.Subdomains || h.MaxAge < year) {
		c.reject("hsts.preload", "Browsers' lists take who has subdomains and a max_age of 1y or more.")
	}
}

func (c *edgeCheck) redirects(redirects []Redirect) {
	if !c.some("redirects", len(redirects), maxEdgeRules, "redirects") {
		return
	}
	for i, r := range redirects {
		field := fmt.Sprintf("redirects[%d]", i)
		if r.Host != "" && !validHostPattern(r.Host) {
			c.reject(field+".host", "%q is no host name; *.example.com stands for all below example.com.", clipped(r.Host))
		}
		c.path(field+".path", r.Path)
		if reason := badTarget(r.To); reason != "" {
			c.reject(field+".to", "%s", reason)
		}
		switch r.Status {
		case 0, 301, 302, 307, 308:
		default:
			c.reject(field+".status", "%d is none of 301, 302, 307 and 308, which it is unless told.", r.Status)
		}
	}
}

var hostPattern = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$`)

func validHostPattern(host string) bool { return len(host) <= 255 && hostPattern.MatchString(host) }

// placeholder is what stands for a part of the request in Redirect.To.
var placeholder = regexp.MustCompile(`\{[^}]*\}?|\}`)

// badTarget says why to cannot be redirected to; empty when it can. No request
// must be able to choose the host that it is led to, but for its own.
func badTarget(to string) string {
	const form = "Write a URL, such as https://example.com{path}?{query}, or a path, such as /new"
	if to == "" || len(to) > maxEdgeTarget || strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`|", r) }) {
		return fmt.Sprintf("%s: ASCII without spaces, at most %d bytes.", form, maxEdgeTarget)
	}
	for _, name := range placeholder.FindAllString(to, -1) {
		if name != "{host}" && name != "{path}" && name != "{query}" {
			return clipped(name) + " stands for nothing; {host}, {path} and {query} do."
		}
	}
	if strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") || strings.HasPrefix(to, "{path}") {
		return ""
	}
	scheme, rest, found := strings.Cut(to, "//")
	if !found || scheme != "https:" && scheme != "http:" {
		return form + "."
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	authority, _, _ := strings.Cut(rest, "{path}") // which begins with a slash
	authority = strings.ReplaceAll(authority, "{host}", "h")
	if u, err := url.Parse("http://" + authority); err != nil || u.Host == "" || u.Hostname() == "" || strings.ContainsAny(authority, "{}@") {
		return "Its host is none that you chose: " + form + "."
	}
	return ""
}

func (c *edgeCheck) path(field, pattern string) {
	if pattern == "" {
		return
	}
	p, ok := ParsePath(pattern)
	if !ok || strings.ContainsFunc(pattern, unicode.IsControl) {
		c.reject(field, "%q is no path: write /prefix, \"= /exact\", or \"~ ^/users/[0-9]+\" for a regular expression.", clipped(pattern))
		return
	}
	c.weight += p.Weight
}

func (c *edgeCheck) process(field, process string) {
	if !ValidProcessType(process) || process == "run" || process == ProcessRelease {
		c.reject(field, "%q is no process type that serves requests, such as web.", clipped(process))
	}
}

func (c *edgeCheck) matches(matches []Match) {
	if !c.some("matches", len(matches), maxEdgeRules, "matches") {
		return
	}
	for i, m := range matches {
		field := fmt.Sprintf("matches[%d]", i)
		c.process(field+".process", m.Process)
		c.conditions(field+".if", m.If)
	}
}

func (c *edgeCheck) conditions(field string, conditions []Condition) {
	if len(conditions) == 0 || len(conditions) > maxEdgeConditions {
		c.reject(field, "There are 1 to %d conditions, such as {\"header\":\"X-Beta\",\"value\":\"*\"}.", maxEdgeConditions)
		return
	}
	for i, condition := range conditions {
		one := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case (condition.Header == "") == (condition.Cookie == ""):
			c.reject(one, "A condition is about a header or a cookie, one of the two.")
		case condition.Header != "":
			c.token(one+".header", condition.Header)
		default:
			c.token(one+".cookie", condition.Cookie)
		}
		if condition.Value == "" {
			c.reject(one+".value", "Say which value is meant; \"*\" is any.")
		}
		c.fieldValue(one+".value", condition.Value)
	}
}

// token checks a name of a header or a cookie (RFC 9110, 5.6.2).
func (c *edgeCheck) token(field, name string) {
	if !isToken(name) {
		c.reject(field, "%q is no name: letters, digits and - do, at most %d.", clipped(name), maxEdgeName)
	}
}

func isToken(name string) bool {
	return name != "" && len(name) <= maxEdgeName && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// fieldValue checks what may stand behind a header's colon (RFC 9110, 5.5).
func (c *edgeCheck) fieldValue(field, value string) {
	switch {
	case len(value) > maxEdgeValue:
		c.reject(field, "A value has at most %d bytes.", maxEdgeValue)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		c.reject(field, "A value has no line breaks and no other control characters.")
	case strings.TrimSpace(value) != value:
		c.reject(field, "A value begins and ends with no space.")
	}
}

var pageName = regexp.MustCompile(`^([45][0-9][0-9]|[45]xx|maintenance)$`)

func (c *edgeCheck) pages(pages map[string]string) {
	if !c.some("pages", len(pages), maxEdgePages, "pages") {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		field := "pages." + clipped(name)
		switch html := pages[name]; {
		case !pageName.MatchString(name):
			c.reject(field, "A page is for a status, such as 404, for a class, 4xx or 5xx, or for maintenance.")
		case html == "":
			c.reject(field, "A page is HTML; null takes it away.")
		case len(html) > maxEdgePage:
			c.reject(field, "A page has at most %s; this has %d bytes.", SizeText(maxEdgePage), len(html))
		case !utf8.ValidString(html):
			c.reject(field, "A page is UTF-8.")
		}
	}
}

func (c *edgeCheck) deny(networks []string) {
	if !c.some("deny", len(networks), maxEdgeList, "networks that are denied") {
		return
	}
	for i, network := range networks {
		if _, ok := ParseNetwork(network); !ok {
			c.reject(fmt.Sprintf("deny[%d]", i), "%q is no address and no network, such as 10.0.0.0/8.", clipped(network))
		}
	}
}

func (c *edgeCheck) auth(a *BasicAuth) {
	if a == nil {
		return
	}
	if len(a.Realm) > maxEdgeName || strings.ContainsFunc(a.Realm, func(r rune) bool { return r < ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
		c.reject("auth.realm", "A realm is ASCII without quotes, at most %d characters.", maxEdgeName)
	}
	if len(a.Users) == 0 {
		c.reject("auth.users", "Nobody could come in: name somebody, or take auth away with null.")
	}
	if !c.some("auth.users", len(a.Users), maxEdgeUsers, "who are let in by name") {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(a.Users)) {
		field := "auth.users." + clipped(name)
		switch hash := a.Users[name]; {
		case name == "" || len(name) > maxEdgeName || strings.ContainsFunc(name, func(r rune) bool { return r == ':' || unicode.IsControl(r) }):
			c.reject(field, "A name has no colon and no control characters, and at most %d bytes (RFC 7617).", maxEdgeName)
		case hash == Masked:
			c.reject(field, "There is no password of this name to keep: give one.")
		case !ValidPasswordHash(hash):
			c.reject(field, "This is no hash of a password.")
		}
	}
}

// ownHeaders are what routers say of connections and requests themselves.
var ownHeaders = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Range", "Date", "Forwarded", "Host", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Www-Authenticate", "X-Request-Id", "X-Correlation-Id",
}

func (c *edgeCheck) headers(headers map[string]string) {
	if !c.some("headers", len(headers), maxEdgeHeaders, "headers of its own") {
		return
	}
	seen := make(map[string]bool, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		field, lower := "headers."+clipped(name), strings.ToLower(name)
		own := slices.ContainsFunc(ownHeaders, func(header string) bool { return strings.EqualFold(header, name) })
		switch {
		case !isToken(name):
			c.reject(field, "This is no name of a header: letters, digits and - do, at most %d.", maxEdgeName)
		case own || strings.HasPrefix(lower, "x-forwarded-") || strings.HasPrefix(lower, "x-client-cert-"):
			c.reject(field, "The router itself says this.")
		case lower == "strict-transport-security":
			c.reject(field, "This has a word of its own: hsts.")
		case seen[lower]:
			c.reject(field, "This header comes twice.")
		}
		seen[lower] = true
		c.fieldValue(field, headers[name])
	}
}

func (c *edgeCheck) clients(clients *ClientCerts) {
	if clients == nil {
		return
	}
	if len(clients.CA) > maxEdgeCA {
		c.reject("clients.ca", "Authorities have at most %s together.", SizeText(maxEdgeCA))
		return
	}
	count, rest := 0, []byte(clients.CA)
	for count <= maxEdgeCAs {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		count++
		if block.Type != "CERTIFICATE" {
			c.reject("clients.ca", "This has a %s, which nobody else should see: give certificates only.", clipped(block.Type))
			return
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			c.reject("clients.ca", "Certificate %d cannot be read: %s.", count, err)
			return
		}
	}
	if count == 0 || count > maxEdgeCAs || strings.TrimSpace(string(rest)) != "" {
		c.reject("clients.ca", "Write 1 to %d certificates in PEM, and nothing else.", maxEdgeCAs)
	}
}
