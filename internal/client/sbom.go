package client

import (
	"context"
	"encoding/json"
	"strconv"
)

// SBOM is the CycloneDX document of what is in the image of a release, made if
// it is not there yet.
func (c *Client) SBOM(ctx context.Context, app string, version int) (json.RawMessage, error) {
	return c.paper(ctx, app, version, "sbom")
}

// Provenance is the in-toto statement of how the image of a release was built.
func (c *Client) Provenance(ctx context.Context, app string, version int) (json.RawMessage, error) {
	return c.paper(ctx, app, version, "provenance")
}

func (c *Client) paper(ctx context.Context, app string, version int, which string) (text json.RawMessage, err error) {
	return text, c.do(ctx, request{method: "GET", path: path("apps", app, "releases", "v"+strconv.Itoa(version), which), out: &text, wait: deploying})
}
