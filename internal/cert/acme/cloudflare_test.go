package acme_test

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/slipway-paas/slipway/internal/cert/acme/acmetest"
)

// cloudflareOf is what Cloudflare's API documentation says of the calls that are
// made, in front of a name server.
func cloudflareOf(names *acmetest.Names) http.Handler {
	type record struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Name    string `json:"name"`
		Content string `json:"content"`
		TTL     int    `json:"ttl"`
	}
	answer := func(w http.ResponseWriter, status int, result any, message string) {
		w.WriteHeader(status)
		errors := []map[string]any{}
		if message != "" {
			errors = append(errors, map[string]any{"code": 9109, "message": message})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"success": message == "", "errors": errors, "result": result})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /zones", func(w http.ResponseWriter, r *http.Request) {
		zones := []map[string]string{}
		if r.FormValue("name") == "test" {
			zones = append(zones, map[string]string{"id": "z1", "name": "test"})
		}
		answer(w, http.StatusOK, zones, "")
	})
	mux.HandleFunc("POST /zones/z1/dns_records", func(w http.ResponseWriter, r *http.Request) {
		var one record
		if err := json.NewDecoder(r.Body).Decode(&one); err != nil || one.TTL < 60 || one.Type != "TXT" {
			answer(w, http.StatusBadRequest, nil, "DNS Validation Error")
			return
		}
		names.Change(one.Name, strings.Trim(one.Content, `"`), true)
		answer(w, http.StatusOK, one, "")
	})
	mux.HandleFunc("GET /zones/z1/dns_records", func(w http.ResponseWriter, r *http.Request) {
		all := []record{}
		for _, text := range names.Texts(r.FormValue("name")) {
			all = append(all, record{ID: r.FormValue("name") + "|" + text, Type: "TXT", Name: r.FormValue("name"), Content: `"` + text + `"`})
		}
		answer(w, http.StatusOK, all, "")
	})
	mux.HandleFunc("DELETE /zones/z1/dns_records/{id}", func(w http.ResponseWriter, r *http.Request) {
		name, text, _ := strings.Cut(r.PathValue("id"), "|")
		names.Change(name, text, false)
		answer(w, http.StatusOK, map[string]string{"id": r.PathValue("id")}, "")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			answer(w, http.StatusForbidden, nil, "Invalid access token")
			return
		}
		mux.ServeHTTP(w, r)
	})
}
