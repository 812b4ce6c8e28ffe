package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/libdns/libdns"

	"github.com/slipway-paas/slipway/internal/platform"
)

// cloudflare changes records by Cloudflare's API, version 4.
type cloudflare struct {
	api, token, zone string
	client           *http.Client
}

const cloudflareAPI = "https://api.cloudflare.com/client/v4"

func newCloudflare(settings map[string]string) (*cloudflare, error) {
	c := &cloudflare{api: strings.TrimSuffix(settings["api"], "/"), token: settings["token"], zone: settings["zone"], client: &http.Client{
		Timeout: 30 * time.Second,
		// The token is for one place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if c.api == "" {
		c.api = cloudflareAPI
	}
	u, err := url.Parse(c.api)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, fmt.Errorf("api: %q is no address: %w", c.api, platform.ErrInvalid)
	case c.token == "" || strings.ContainsAny(c.token, " \t\r\n"):
		return nil, fmt.Errorf("token: there is none, or it has spaces: %w", platform.ErrInvalid)
	}
	return c, nil
}

// cloudflareRecord is a record as the API has it.
type cloudflareRecord struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Content string `json:"content"`
	TTL     int    `json:"ttl"`
}

// AppendRecords implements libdns.RecordAppender.
func (c *cloudflare) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	id, err := c.zoneID(ctx, zone)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if err := c.call(ctx, http.MethodPost, "/zones/"+id+"/dns_records", cloudflareOf(zone, record), nil); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// DeleteRecords implements libdns.RecordDeleter.
func (c *cloudflare) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	id, err := c.zoneID(ctx, zone)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		wish := cloudflareOf(zone, record)
		var found []cloudflareRecord
		if err := c.call(ctx, http.MethodGet, "/zones/"+id+"/dns_records?"+url.Values{"type": {wish.Type}, "name": {wish.Name}}.Encode(), nil, &found); err != nil {
			return nil, err
		}
		for _, one := range found {
			if strings.Trim(one.Content, `"`) != strings.Trim(wish.Content, `"`) {
				continue
			}
			if err := c.call(ctx, http.MethodDelete, "/zones/"+id+"/dns_records/"+url.PathEscape(one.ID), nil, nil); err != nil {
				return nil, err
			}
		}
	}
	return records, nil
}

func cloudflareOf(zone string, record libdns.Record) cloudflareRecord {
	rr := record.RR()
	return cloudflareRecord{
		Type: rr.Type, Name: strings.TrimSuffix(libdns.AbsoluteName(rr.Name, zone), "."), Content: `"` + rr.Data + `"`,
		TTL: max(int(rr.TTL/time.Second), 60),
	}
}

func (c *cloudflare) zoneID(ctx context.Context, zone string) (string, error) {
	if c.zone != "" {
		return url.PathEscape(c.zone), nil
	}
	name := strings.TrimSuffix(zone, ".")
	var found []struct {
		ID string `json:"id"`
	}
	if err := c.call(ctx, http.MethodGet, "/zones?"+url.Values{"name": {name}}.Encode(), nil, &found); err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("the token knows of %d zones %s, and one is needed", len(found), name)
	}
	return url.PathEscape(found[0].ID), nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// call sends body, if any, and reads the result into result, if any. Errors hold
// what the API says of them, and never the token.
func (c *cloudflare) call(ctx context.Context, method, path string, body, result any) error {
	var text io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.api+path, text)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Success bool `json:"success"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
		Result json.RawMessage `json:"result"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&answer)
	if err == nil && answer.Success && res.StatusCode < 300 {
		if result == nil {
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	}
	said := []error{fmt.Errorf("the DNS provider answered %s", res.Status)}
	for _, e := range answer.Errors {
		said = append(said, errors.New(e.Message))
	}
	return errors.Join(said...)
}
