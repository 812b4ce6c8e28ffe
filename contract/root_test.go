package contract_test

import (
	"strings"
	"testing"
)

var rootChecks = []check{
	{"GET /v2/", "nobody is told so, with the version in the header", func(t *testing.T, p *platform) {
		p.as(t, nil).get("/v2/").status(401).detail("Authentication credentials were not provided.")
	}},
	{"GET /v2/", "a token gets an empty object", func(t *testing.T, p *platform) {
		p.as(t, p.admin).get("/v2/").status(200).json(`{}`)
	}},
	{"GET /v2/", "the slash is optional and slashes collapse, without a redirect", func(t *testing.T, p *platform) {
		for _, path := range []string{"/v2", "//v2/", "//v2//"} {
			p.as(t, nil).get(path).status(401)
		}
		p.as(t, p.admin).get("/v2//apps").status(200)
		p.as(t, p.admin).get("/v2/auth/whoami").status(200)
	}},
	{"GET /v2/", "each kind of bad token has its words", func(t *testing.T, p *platform) {
		for header, words := range map[string]string{
			"Basic YWRtaW46YWRtaW4=":           "Authentication credentials were not provided.",
			"token " + strings.Repeat("0", 40): "Invalid token.",
			"token":                            "Invalid token header. No credentials provided.",
			"token a b":                        "Invalid token header. Token string should not contain spaces.",
			"TOKEN " + strings.Repeat("f", 40): "Invalid token.",
		} {
			p.as(t, nil).with("Authorization", header).get("/v2/apps/").status(401).detail(words)
		}
		p.as(t, nil).with("Authorization", "ToKeN "+p.admin.token).get("/v2/apps/").status(200)
	}},
	{"GET /v2/", "an unknown route is a 404 that is no JSON", func(t *testing.T, p *platform) {
		for _, path := range []string{"/v2/nothing/", "/v2/apps/Not_An_App/", "/v2/apps/x/nothing/", "/v3/"} {
			a := p.as(t, p.admin).get(path).status(404)
			if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
				a.fail("an unknown route in JSON")
			}
		}
	}},
	{"GET /v2/", "another content type is refused by name, broken JSON too", func(t *testing.T, p *platform) {
		p.as(t, p.admin).with("Content-Type", "text/plain").post("/v2/apps/", "id=foo").
			status(415).detail(`Unsupported media type "text/plain" in request.`)
		p.as(t, p.admin).post("/v2/apps/", `{"id":`).status(400).detailLike(`^JSON parse error - `)
	}},
	{"GET /v2/", "an unknown method is a 405 with Allow", func(t *testing.T, p *platform) {
		a := p.as(t, p.admin).ask("PUT", "/v2/auth/whoami/", nil).status(405).detail(`Method "PUT" not allowed.`)
		if !strings.Contains(a.header.Get("Allow"), "GET") {
			a.fail("Allow is %q", a.header.Get("Allow"))
		}
	}},
	{"GET /healthz", "it says OK to everybody, to GET and HEAD", func(t *testing.T, p *platform) { health(t, p, "/healthz") }},
	{"GET /readiness", "it says OK to everybody, to GET and HEAD", func(t *testing.T, p *platform) { health(t, p, "/readiness") }},
}

func health(t *testing.T, p *platform, path string) {
	a := p.as(t, nil).get(path).status(200).text("OK")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		a.fail("content type %q", a.header.Get("Content-Type"))
	}
	p.as(t, nil).ask("HEAD", path, nil).status(200).empty()
	p.as(t, nil).post(path, nil).status(405)
	p.as(t, nil).get(path + "/").status(200).text("OK")
}
