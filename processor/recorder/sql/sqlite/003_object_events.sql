-- For reconciling a bucket: which of its objects have a run. Runs of other triggers are not in it and pay nothing.
CREATE INDEX runs_of_objects ON runs (
    function, json_extract(accepted, '$.source'), json_extract(accepted, '$.subject')
) WHERE json_extract(accepted, '$.trigger') = 'storage';
