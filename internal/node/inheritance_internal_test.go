package node

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyWhatCanBeReadIsInherited(t *testing.T) {
	for text, problem := range map[string]string{
		`{"format":1,"instances":{"a":{"ejected":true,"left":1}},"more":{}}`: "",
		`{"format":2}`:               "format 2",
		`{}`:                         "format 0",
		`{"format":1,"instances":[]`: "read it",
		"404":                        "404",
	} {
		socket := filepath.Join(t.TempDir(), "s")
		ln, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		old := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/known" || text == "404" {
				http.NotFound(w, r)
				return
			}
			fmt.Fprint(w, text)
		}))
		_ = old.Listener.Close()
		old.Listener = ln
		old.Start()
		known, err := askKnown(t.Context(), socket)
		old.Close()
		switch {
		case problem == "" && (err != nil || !known.Instances["a"].Ejected):
			t.Errorf("%s: %+v, %v", text, known, err)
		case problem != "" && (err == nil || !strings.Contains(err.Error(), problem) || known.Instances != nil):
			t.Errorf("%s: %+v, %v", text, known, err)
		}
	}
}
