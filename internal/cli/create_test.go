package cli_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestCreateSaysWhatItWaitsFor(t *testing.T) {
	c := newContract(t, map[string]string{"POST /v2/apps/": `201 {"id":"blog","owner":"bob","structure":{}}`})
	said, stderr := io.Pipe()
	lines := bufio.NewReader(said)
	answers := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if line, err := lines.ReadString('\n'); !strings.Contains(line, "leaves it when its last instance has ended") {
			t.Errorf("said %q, %v", line, err)
		}
		answers.ServeHTTP(w, r)
	})
	var stdout bytes.Buffer
	exit := execute(t.Context(), at(t, c).options(strings.NewReader(""), &stdout, stderr), []string{"create", "blog", "--no-remote"})
	if exit != 0 || stdout.String() != "Created blog.\n" {
		t.Errorf("exit %d, %q", exit, stdout.String())
	}
}
