package contract_test

import (
	"net/url"
	"strings"
	"testing"
)

var domainChecks = []check{
	{"GET /v2/apps/<id>/domains/", "they are in order, the default one among them", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		domain := unique("aa") + ".example.com"
		p.as(t, u).post("/v2/apps/"+id+"/domains/", object{"domain": domain}).status(201)
		p.as(t, u).get("/v2/apps/" + id + "/domains/?limit=1").status(200).
			json(`{"count":2,"results":[{"domain":"` + min(domain, id) + `","app":"` + id + `","owner":"` + u.name + `","created":"<time>","updated":"<time>"}]}`)
		p.as(t, p.user(t)).get("/v2/apps/" + id + "/domains/").status(403)
	}},
	{"POST /v2/apps/<id>/domains/", "names are normalised", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		n := unique("n")
		for given, stored := range map[string]string{
			n + ".Example.COM.":       n + ".example.com",
			"*." + n + ".example.com": "*." + n + ".example.com",
			n + ".домена.ru":          n + ".xn--80ahd1agd.ru",
			n + "bare":                n + "bare",
		} {
			p.as(t, u).post("/v2/apps/"+id+"/domains/", object{"domain": given}).status(201).json(`{"domain":"` + stored + `","app":"` + id + `"}`)
		}
		p.as(t, u).get("/v2/apps/" + id + "/releases/").json(`{"count":1}`)
	}},
	{"POST /v2/apps/<id>/domains/", "each bad name has its message", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		c, domains := p.as(t, u), "/v2/apps/"+id+"/domains/"
		c.post(domains, object{}).refuses("domain", required)
		c.post(domains, object{"domain": ""}).refuses("domain", blank)
		c.post(domains, object{"domain": nil}).refuses("domain", null)
		c.post(domains, object{"domain": "*"}).refuses("domain", "Hostname can't only be a wildcard")
		c.post(domains, object{"domain": "1.2.3.4"}).refuses("domain", "Hostname does not look valid.")
		c.post(domains, object{"domain": "foo.*.example.com"}).refusesLike("domain", `^Hostname does not look valid`)
		c.post(domains, object{"domain": "a_b.example.com"}).refusesLike("domain", `^Hostname does not look valid, could not convert to ACE a_b\.example\.com: `)
		c.post(domains, object{"domain": strings.Repeat("abcdefghi.", 26) + "com"}).refuses("domain", "Hostname must be 253 characters or less.")
		taken := unique("t") + ".example.com"
		p.as(t, u).post("/v2/apps/"+u.app(t)+"/domains/", object{"domain": taken}).status(201)
		c.post(domains, object{"domain": strings.ToUpper(taken) + "."}).refuses("domain", "Domain is already in use by another application")
		c.get(domains).json(`{"count":1}`)
		p.as(t, p.user(t)).post(domains, object{"domain": unique("x") + ".example.com"}).status(403)
	}},
	{"POST /v2/apps/<id>/domains/", "one that overlaps another's is a conflict", func(t *testing.T, p *platform) {
		u, eve := p.user(t), p.user(t)
		id, evil := u.app(t), eve.app(t)
		n := unique("o") + ".example.com"
		mine, hers := "/v2/apps/"+id+"/domains/", "/v2/apps/"+evil+"/domains/"
		p.as(t, u).post(mine, object{"domain": "*." + n}).status(201)
		for _, name := range []string{"new." + n, n, "*.a." + n} {
			p.as(t, eve).post(hers, object{"domain": name}).status(409).
				json(`{"detail":"` + name + ` overlaps a domain of another application\nWhoever may operate both applications can add it, or an administrator."}`)
		}
		p.as(t, eve).post(hers, object{"domain": "*." + n}).refuses("domain", "Domain is already in use by another application")
		p.as(t, eve).get(hers).json(`{"count":1}`)
		p.as(t, u).post("/v2/apps/"+u.app(t)+"/domains/", object{"domain": "shop." + n}).status(201)
	}},
	{"POST /v2/apps/<id>/domains/", "the edge serves it when the answer comes", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		domain := unique("d") + ".example.com"
		p.reaches(t, domain, 404)
		p.as(t, u).post("/v2/apps/"+id+"/domains/", object{"domain": domain}).status(201)
		p.reaches(t, domain, 200)
		p.as(t, u).remove("/v2/apps/"+id+"/domains/"+domain, nil).status(204)
		p.reaches(t, domain, 404)
	}},
	{"DELETE /v2/apps/<id>/domains/<domain>", "Unicode, ACE and wildcards are found; the default one may go", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		n := unique("n")
		c, domains := p.as(t, u), "/v2/apps/"+id+"/domains/"
		for _, add := range []string{n + ".домена.ru", "*." + n + ".example.com"} {
			c.post(domains, object{"domain": add}).status(201)
			c.remove(domains+url.PathEscape(add), nil).status(204)
		}
		c.remove(domains+id, nil).status(204)
		c.get(domains).json(`{"count":0,"results":[]}`)
	}},
	{"DELETE /v2/apps/<id>/domains/<domain>", "an unknown one is a 404, a collaborator may not", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		id := u.app(t)
		p.as(t, u).remove("/v2/apps/"+id+"/domains/no.example.com", nil).missing("Domain")
		p.as(t, u).post("/v2/apps/"+id+"/perms/", object{"username": carol.name}).status(201)
		p.as(t, carol).remove("/v2/apps/"+id+"/domains/"+id, nil).status(403)
	}},
}
