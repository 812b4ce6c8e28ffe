package server_test

import (
	"strings"
	"testing"
)

func TestCronsAreSetRunAndRemoved(t *testing.T) {
	d := open(t)
	const crons = "/v2/apps/blog/crons/"
	d.expect("bob", "GET", crons, "", 200, `{"count":0,"next":null,"previous":null,"results":[]}`)
	d.expect("carol", "GET", crons, "", 403, "")
	d.expect("bob", "POST", crons, `{}`, 400, `{"process":["This field is required."]}`)
	d.expect("bob", "POST", crons, `{"process":"nightly"}`, 400, `{"schedule":["This field is required."]}`)
	d.expect("bob", "POST", crons, `{"process":"nightly","schedule":"@daily","deadline":"soon","paused":7}`, 400,
		`{"deadline":["A whole number of seconds is expected."],"paused":["\"7\" is not a valid boolean."]}`)
	body := d.expect("bob", "POST", crons, `{"process":"nightly","schedule":"0 3 * * *","deadline":90}`, 201, "")
	for _, part := range []string{`"schedule":"0 3 * * *"`, `"timezone":"UTC"`, `"overlap":"forbid"`, `"missed":"skip"`, `"deadline":90`, `"next":["2016-10-18T20:29:38Z"]`} {
		if !strings.Contains(body, part) {
			t.Errorf("%s lacks %s", body, part)
		}
	}
	d.expect("bob", "GET", crons+"nightly", "", 200, body)
	d.expect("bob", "GET", crons+"none/", "", 404, `"No Cron matches the given query."`)
	run := d.expect("bob", "POST", crons+"nightly/runs/", "", 201, "")
	for _, part := range []string{`"state":"failed"`, `"exit_code":3`, `"release":"v2"`, `"manual":true`, `"by":"bob"`} {
		if !strings.Contains(run, part) {
			t.Errorf("%s lacks %s", run, part)
		}
	}
	d.expect("bob", "GET", crons+"nightly/runs/run-uuid/", "", 200, run)
	d.expect("bob", "GET", crons+"nightly/runs/?limit=1", "", 200, `{"count":1,"next":null,"previous":null,"results":[`+run+`]}`)
	d.expect("bob", "DELETE", crons+"nightly/", "", 204, "")
	d.expect("bob", "DELETE", crons+"nightly/", "", 404, "")
}

func TestGroupsAreSharedAndShownBesideTheConfig(t *testing.T) {
	d := open(t)
	d.expect("bob", "POST", "/v2/groups/", `{"name":"-"}`, 400, `{"name":["A group's name has at most 63 characters of a-z, 0-9 and - between them."]}`)
	d.expect("bob", "POST", "/v2/groups/", `{"name":"shared"}`, 201,
		`{"name":"shared","owner":"bob","version":1,"created":"2016-10-18T20:29:38Z","updated":"2016-10-18T20:29:38Z"}`)
	d.expect("carol", "GET", "/v2/groups/shared", "", 404, `"No Group matches the given query."`)
	d.expect("bob", "POST", "/v2/groups/shared", `{}`, 400, `{"values":["This field is required."]}`)
	d.expect("bob", "POST", "/v2/groups/shared", `{"values":{"1":"x"}}`, 400, `{"values":["Config keys must start with a letter or underscore and only contain [A-z0-9_]"]}`)
	d.expect("bob", "POST", "/v2/groups/shared", `{"values":{"A":"1"}}`, 200, "")
	before := d.expect("bob", "GET", "/v2/apps/blog/config/", "", 200, "")
	if strings.Contains(before, "groups") {
		t.Errorf("without groups the config is %s", before)
	}
	d.expect("carol", "POST", "/v2/apps/blog/groups/", `{"group":"shared"}`, 403, "")
	d.expect("bob", "POST", "/v2/apps/blog/groups/", `{"group":"shared"}`, 201, `{"app":"blog","group":"shared","version":2,"has":2,"state":"current"}`)
	after := d.expect("bob", "GET", "/v2/apps/blog/config/", "", 200, "")
	if want := strings.TrimSuffix(before, "}") + `,"groups":[{"name":"shared","version":2,"values":{"A":"1"}}]}`; after != want {
		t.Errorf("the config is %s\nwant %s", after, want)
	}
	d.expect("bob", "DELETE", "/v2/groups/shared", "", 409, `{"detail":"Group shared is attached to blog."}`)
	if body := d.expect("bob", "POST", "/v2/groups/shared", `{"values":{"B":"1"}}`, 200, ""); !strings.Contains(body, `"deploys":[{"app":"blog","release":"v2","error":"(app::deploy): no"}]`) {
		t.Error(body)
	}
	if body := d.expect("bob", "GET", "/v2/apps/blog/groups/", "", 200, ""); !strings.Contains(body, `"version":3,"has":2,"state":"behind"`) {
		t.Error(body)
	}
	d.expect("bob", "DELETE", "/v2/apps/blog/groups/shared", "", 204, "")
	d.expect("bob", "DELETE", "/v2/apps/blog/groups/shared", "", 404, "")
	d.expect("bob", "DELETE", "/v2/groups/shared", "", 204, "")
}
