-- Which version of the campaign's file a line was set by: a gateway that still runs on an older one sets nothing back.
ALTER TABLE allotment.line ADD COLUMN set_by int4 NOT NULL DEFAULT 0; -- 0: none was named
