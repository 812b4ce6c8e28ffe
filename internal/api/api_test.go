package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
)

func TestATimeIsUTCWholeSecondsAndZ(t *testing.T) {
	at := time.Date(2016, 10, 18, 22, 29, 38, 999, time.FixedZone("CEST", 7200))
	data, err := json.Marshal(struct{ T api.Time }{api.At(at)})
	if err != nil || string(data) != `{"T":"2016-10-18T20:29:38Z"}` {
		t.Fatalf("got %s, %v", data, err)
	}
	var back struct{ T api.Time }
	if err := json.Unmarshal(data, &back); err != nil || !back.T.Equal(at.Truncate(time.Second)) {
		t.Fatalf("got %v, %v", back.T, err)
	}
	for _, bad := range []string{`{"T":1}`, `{"T":"x"}`, `{"T":"\"}`, `{"T":{}}`} {
		if json.Unmarshal([]byte(bad), &back) == nil {
			t.Errorf("%s was read as a time", bad)
		}
	}
}

func TestAnEmptyListIsNeverNull(t *testing.T) {
	data, err := json.Marshal(api.List[api.App]{})
	if err != nil || string(data) != `{"count":0,"next":null,"previous":null,"results":[]}` {
		t.Fatalf("got %s, %v", data, err)
	}
}

func TestEveryKindOfErrorBodyIsRead(t *testing.T) {
	for _, c := range []struct{ body, text string }{
		{`"No App matches the given query."`, "No App matches the given query."},
		{`{"detail":"bob changed nothing"}`, "bob changed nothing"},
		{`{"id":["Application with this id already exists."],"a":["x","y"]}`, "a: x y\nid: Application with this id already exists."},
		{`{"non_field_errors":["Unable to log in with provided credentials."]}`, "Unable to log in with provided credentials."},
		{`<html>Not Found</html>`, "<html>Not Found</html>"},
		{``, "the server answered 404 and said no more"},
		{`{"odd":{"a":1}}`, `odd: {"a":1}`},
		{`null`, "the server answered 404 and said no more"},
	} {
		if got := api.ParseError(404, []byte(c.body)).Error(); got != c.text {
			t.Errorf("%s: got %q, want %q", c.body, got, c.text)
		}
	}
}
