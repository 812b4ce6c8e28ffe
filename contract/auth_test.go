package contract_test

import (
	"regexp"
	"strings"
	"testing"
)

const (
	blank        = "This field may not be blank."
	required     = "This field is required."
	null         = "This field may not be null."
	badUsername  = "Enter a valid username. This value may contain only letters, numbers and @/./+/-/_ characters."
	noPermission = "You do not have permission to perform this action."
	badLogin     = "Unable to log in with provided credentials."
)

type object = map[string]any

var authChecks = []check{
	{"POST /v2/auth/register/", "an admin registers a user and sees all of them but the password", func(t *testing.T, p *platform) {
		name := unique("new")
		a := p.as(t, p.admin).post("/v2/auth/register/", object{
			"username": name, "password": "secret words", "email": "bob@example.com", "first_name": "Bob", "last_name": "B",
			"is_superuser": true, "is_staff": true,
		}).status(201).json(`{"email":"bob@example.com","username":"` + name + `","first_name":"Bob","last_name":"B","is_superuser":false,
			"is_staff":false,"groups":[],"user_permissions":[],"date_joined":"<time>","is_active":true,"last_login":"~^2"}`)
		if strings.Contains(string(a.body), "secret words") || a.field("id") != "" {
			a.fail("an id or the password is shown")
		}
	}},
	{"POST /v2/auth/register/", "with admins only, others are refused with 403, never 401", func(t *testing.T, p *platform) {
		body := object{"username": unique("x"), "password": "secret words", "email": ""}
		p.as(t, nil).post("/v2/auth/register/", body).status(403).detail("Authentication credentials were not provided.")
		p.as(t, p.user(t)).post("/v2/auth/register/", body).status(403).detail(noPermission)
		p.as(t, nil).with("Authorization", "token "+strings.Repeat("0", 40)).post("/v2/auth/register/", body).status(403)
	}},
	{"POST /v2/auth/register/", "each field that is wrong has its message", func(t *testing.T, p *platform) {
		c := p.as(t, p.admin)
		c.post("/v2/auth/register/", object{}).refuses("username", required).refuses("password", required)
		c.post("/v2/auth/register/", object{"username": "", "password": ""}).refuses("username", blank).refuses("password", blank)
		c.post("/v2/auth/register/", object{"username": "a b", "password": "x"}).refuses("username", badUsername)
		c.post("/v2/auth/register/", object{"username": nil, "password": "x"}).refuses("username", null)
		c.post("/v2/auth/register/", object{"username": unique("x"), "password": "x", "email": "nobody"}).refuses("email", "Enter a valid email address.")
		c.post("/v2/auth/register/", object{"username": "admin", "password": "x"}).refuses("username", "A user with that username already exists.")
		c.post("/v2/auth/register/", object{"username": strings.Repeat("x", 151), "password": "x"}).
			refuses("username", "Ensure this field has no more than 150 characters.")
	}},
	{"POST /v2/auth/login/", "it answers a token of 40 hex digits, and a second login leaves the first alone", func(t *testing.T, p *platform) {
		u := p.user(t)
		first, second := u.token, u.login(t)
		if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(second) {
			t.Errorf("the token is %q", second)
		}
		for _, token := range []string{first, second} {
			p.as(t, &user{p: p, token: token}).get("/v2/auth/whoami/").status(200)
		}
	}},
	{"POST /v2/auth/login/", "a wrong password, a wrong name and missing fields are 400", func(t *testing.T, p *platform) {
		u := p.user(t)
		c := p.as(t, nil)
		c.post("/v2/auth/login/", object{"username": u.name, "password": "wrong"}).refuses("non_field_errors", badLogin)
		c.post("/v2/auth/login/", object{"username": unique("no"), "password": "wrong"}).refuses("non_field_errors", badLogin)
		c.post("/v2/auth/login/", object{}).refuses("username", required).refuses("password", required)
		c.post("/v2/auth/login/", object{"username": "", "password": ""}).refuses("username", blank)
		c.get("/v2/auth/login/").status(405)
	}},
	{"POST /v2/auth/login/", "a stale token in the header does not matter", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, nil).with("Authorization", "token "+strings.Repeat("0", 40)).
			post("/v2/auth/login/", object{"username": u.name, "password": u.password}).status(200)
	}},
	{"GET /v2/auth/whoami/", "it answers whose token it is", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).get("/v2/auth/whoami/").status(200).json(`{"username":"` + u.name + `","is_superuser":false,"is_active":true}`)
		p.as(t, p.admin).get("/v2/auth/whoami/").status(200).json(`{"username":"admin","is_superuser":true,"is_staff":true}`)
		p.as(t, nil).get("/v2/auth/whoami/").status(401)
	}},
	{"POST /v2/auth/passwd/", "one changes one's own with the present one", func(t *testing.T, p *platform) {
		u := p.user(t)
		c := p.as(t, u)
		c.post("/v2/auth/passwd/", object{"password": u.password, "new_password": "another one"}).status(200).json(`{"status":"password set"}`)
		u.password = "another one"
		u.login(t)
		c.post("/v2/auth/passwd/", object{"password": "wrong", "new_password": "x"}).status(401).detail("Current password does not match")
		c.post("/v2/auth/passwd/", object{"new_password": "x"}).status(400).detail("password is a required field")
		c.post("/v2/auth/passwd/", object{"password": u.password}).status(400).detail("new_password is a required field")
	}},
	{"POST /v2/auth/passwd/", "admins set anybody's without the present one", func(t *testing.T, p *platform) {
		u, other := p.user(t), p.user(t)
		p.as(t, p.admin).post("/v2/auth/passwd/", object{"username": u.name, "new_password": "by the admin"}).status(200)
		u.password = "by the admin"
		u.login(t)
		p.as(t, other).post("/v2/auth/passwd/", object{"username": u.name, "password": "x", "new_password": "y"}).status(403)
		p.as(t, p.admin).post("/v2/auth/passwd/", object{"username": unique("no"), "new_password": "y"}).missing("User")
	}},
	{"POST /v2/auth/tokens/", "a new token replaces all of one's own", func(t *testing.T, p *platform) {
		u := p.user(t)
		old := *u
		u.token = p.as(t, u).post("/v2/auth/tokens/", nil).status(200).field("token")
		p.as(t, &old).get("/v2/auth/whoami/").status(401).detail("Invalid token.")
		p.as(t, u).get("/v2/auth/whoami/").status(200)
	}},
	{"POST /v2/auth/tokens/", "admins replace another's", func(t *testing.T, p *platform) {
		u, other := p.user(t), p.user(t)
		p.as(t, other).post("/v2/auth/tokens/", object{"username": u.name}).status(403)
		p.as(t, other).post("/v2/auth/tokens/", object{"all": true}).status(403)
		p.as(t, p.admin).post("/v2/auth/tokens/", object{"username": unique("no")}).missing("User")
		token := p.as(t, p.admin).post("/v2/auth/tokens/", object{"username": u.name}).status(200).field("token")
		p.as(t, u).get("/v2/auth/whoami/").status(401)
		p.as(t, &user{p: p, token: token}).get("/v2/auth/whoami/").status(200).json(`{"username":"` + u.name + `"}`)
	}},
	{"DELETE /v2/auth/cancel/", "one leaves with an empty body, and the token with one", func(t *testing.T, p *platform) {
		for _, body := range []any{nil, object{}, object{"username": ""}} {
			u := p.user(t)
			p.as(t, u).remove("/v2/auth/cancel/", body).status(204)
			p.as(t, u).get("/v2/auth/whoami/").status(401)
		}
	}},
	{"DELETE /v2/auth/cancel/", "admins remove others, others nobody", func(t *testing.T, p *platform) {
		u, other := p.user(t), p.user(t)
		p.as(t, other).remove("/v2/auth/cancel/", object{"username": u.name}).status(403).detail(noPermission)
		p.as(t, p.admin).remove("/v2/auth/cancel/", object{"username": u.name}).status(204)
		p.as(t, p.admin).remove("/v2/auth/cancel/", object{"username": u.name}).missing("User")
	}},
	{"DELETE /v2/auth/cancel/", "their certificates go from the edge with them", func(t *testing.T, p *platform) {
		owner, helper := p.user(t), p.user(t)
		app, domain := owner.app(t), unique("d")+".example.com"
		p.as(t, owner).post("/v2/apps/"+app+"/perms/", object{"username": helper.name}).status(201)
		p.as(t, helper).post("/v2/apps/"+app+"/domains/", object{"domain": domain}).status(201)
		name, made := helper.cert(t, domain)
		p.as(t, helper).post("/v2/certs/"+name+"/domain/", object{"domain": domain}).status(201)
		if got := p.shown(t, domain); string(got) != string(made.der) {
			t.Error("the edge shows another certificate")
		}
		p.as(t, helper).remove("/v2/auth/cancel/", nil).status(204)
		if got := p.shown(t, domain); string(got) == string(made.der) {
			t.Error("the edge still shows it")
		}
		p.as(t, owner).get("/v2/apps/" + app + "/domains/?limit=1").status(200).json(`{"count":2}`)
	}},
	{"DELETE /v2/auth/cancel/", "who owns apps stays, who worked on others' may go", func(t *testing.T, p *platform) {
		owner, helper := p.user(t), p.user(t)
		app := owner.app(t)
		p.as(t, owner).remove("/v2/auth/cancel/", nil).status(409).
			detail(owner.name + " still has applications assigned. Delete or transfer ownership")
		p.as(t, owner).post("/v2/apps/"+app+"/perms/", object{"username": helper.name}).status(201)
		p.as(t, helper).post("/v2/apps/"+app+"/config/", object{"values": object{"A": "1"}}).status(201)
		p.as(t, helper).remove("/v2/auth/cancel/", nil).status(204)
		p.as(t, owner).get("/v2/apps/" + app + "/config/").status(200).json(`{"owner":"` + owner.name + `","values":{"A":"1"}}`)
	}},
}

var userChecks = []check{
	{"GET /v2/users/", "admins see a page of all, others are refused", func(t *testing.T, p *platform) {
		p.as(t, p.admin).get("/v2/users/?limit=1").status(200).json(`{"count":"<int>","next":"~^http://slipway\\.localhost:[0-9]+/v2/users/\\?limit=1&offset=1$",
			"previous":null,"results":[{"username":"<text>","groups":[]}]}`)
		p.as(t, p.user(t)).get("/v2/users/").status(403).detail(noPermission)
		p.as(t, nil).get("/v2/users/").status(401)
	}},
	{"GET /v2/admin/perms/", "admins see the admins", func(t *testing.T, p *platform) {
		var list struct{ Results []object }
		p.as(t, p.admin).get("/v2/admin/perms/?limit=1000").status(200).json(`{"count":"<int>","next":null,"previous":null}`).decode(&list)
		if len(list.Results) == 0 || list.Results[0]["username"] != "admin" || list.Results[0]["is_superuser"] != true {
			t.Errorf("got %v", list.Results)
		}
		p.as(t, p.user(t)).get("/v2/admin/perms/").status(403)
	}},
	{"POST /v2/admin/perms/", "it makes an admin of a user, who then may all", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).post("/v2/admin/perms/", object{"username": u.name}).status(403)
		p.as(t, p.admin).post("/v2/admin/perms/", object{"username": u.name}).status(201).empty()
		p.as(t, u).get("/v2/users/").status(200)
		p.as(t, u).get("/v2/auth/whoami/").json(`{"is_superuser":true,"is_staff":true}`)
		p.as(t, p.admin).remove("/v2/admin/perms/"+u.name, nil).status(204)
	}},
	{"POST /v2/admin/perms/", "an unknown user is a 404, a missing name a 400", func(t *testing.T, p *platform) {
		p.as(t, p.admin).post("/v2/admin/perms/", object{"username": unique("no")}).missing("User")
		p.as(t, p.admin).post("/v2/admin/perms/", object{}).refuses("username", required)
	}},
	{"DELETE /v2/admin/perms/<username>", "it is idempotent, and unknown names are 404", func(t *testing.T, p *platform) {
		name := "a.b+c@d-" + unique("e")
		u := &user{p: p, name: name, password: "secret words"}
		u.registerBy(t, p.admin)
		for range 2 {
			p.as(t, p.admin).remove("/v2/admin/perms/"+name, nil).status(204)
		}
		p.as(t, p.admin).remove("/v2/admin/perms/"+unique("no"), nil).missing("User")
		p.as(t, u).remove("/v2/admin/perms/admin", nil).status(403)
	}},
}
