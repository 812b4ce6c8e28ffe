package api

// Domain routes a host name to an app. A name without a dot is a subdomain of
// the platform's domain.
type Domain struct {
	Owner   string `json:"owner"`
	Created Time   `json:"created" format:"date-time"`
	Updated Time   `json:"updated" format:"date-time"`
	App     string `json:"app"`
	Domain  string `json:"domain"`
}

// CreateDomain is the body of POST /v2/apps/<id>/domains/.
type CreateDomain struct {
	Domain string `json:"domain" maxLength:"253"`
}
