-- One script for every scenario.  Arguments after the URL:
--   depth method path body_bytes [header value]...
-- depth is how many copies of the request go out in one write (1: no pipelining).

local function build(args)
    local headers = {}
    for i = 5, #args, 2 do
        headers[args[i]] = args[i + 1]
    end
    local size = tonumber(args[4])
    local body = nil
    if size > 0 then
        body = string.sub(string.rep("0123456789abcdef", math.ceil(size / 16)), 1, size)
    end
    return string.rep(wrk.format(args[2], args[3], headers, body), tonumber(args[1]))
end

-- Replaces wrk.init and not request(): with a global request() wrk would call Lua for each request.
function wrk.init(args)
    wrk.headers["Host"] = string.match(args[0], "^https?://([^/]+)")
    local batch = build(args)
    wrk.request = function() return batch end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\nJSON {"requests": %d, "duration_us": %d, "p50_us": %.1f, "p99_us": %.1f, '
        .. '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
